import net from 'node:net';
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  status as grpcStatus,
  type ServiceError,
} from '@grpc/grpc-js';
import type { StatGrouping, StatRow, TapBatch, TapFilter } from '../../model/events.ts';
import type { ExplainQuery, Explanation } from '../../model/explanation.ts';
import type { InjectionRequest, InjectionStatus } from '../../model/injection.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import type { CertificateStatus, EndpointStatus, LogLine, MeshStatus, RouteStatus } from '../../model/status.ts';
import type { Trace, TraceQuery, TraceSummary } from '../../model/trace.ts';
import { type DatabaseControl, type DatabaseMessage, databaseFromWire } from './database-wire.ts';
import { explainQueryToWire, explanationFromWire } from './explain-wire.ts';
import { type InjectionMessage, injectionFromWire, injectionRequestToWire } from './injection-wire.ts';
import type { LogQuery, MeshNotice } from './mesh-control.ts';
import { loadControlService } from './proto.ts';
import {
  type TraceMessage,
  type TraceSummaryMessage,
  traceFromWire,
  traceQueryToWire,
  traceSummaryFromWire,
} from './trace-wire.ts';
import {
  type StatsReply,
  statsFromWire,
  statsRequestToWire,
  tapBatchFromWire,
  tapFilterToWire,
} from './traffic-wire.ts';
import {
  certificateFromWire,
  endpointFromWire,
  logLineFromWire,
  logQueryToWire,
  noticeFromWire,
  problemFromWire,
  type problemToWire,
  routeFromWire,
  statusFromWire,
} from './wire.ts';

/** The call itself went wrong: the daemon died or has a bug. What it refuses comes back as a Result. */
export class ControlError extends Error {
  readonly problems: readonly Problem[];

  constructor(problem: Problem, cause: unknown) {
    super(problem.message, { cause });
    this.problems = [problem];
  }
}

export interface Attachment {
  /** The mesh lives on without this client. */
  detach(): Promise<void>;
  /** Resolves when the daemon ended the stream or died. */
  readonly ended: Promise<void>;
}

/** MeshControl over the wire. Every method throws ControlError if the daemon is lost in the middle. */
export interface ControlClient {
  status(): Promise<MeshStatus>;
  /** Subscribed when this returns, not at the first `next()`. Ends with the daemon's stream or the signal. */
  watchStatus(signal: AbortSignal): AsyncIterable<MeshStatus>;
  watchNotices(signal: AbortSignal): AsyncIterable<MeshNotice>;
  logs(query: LogQuery, signal: AbortSignal): AsyncIterable<LogLine[]>;
  /** Subscribed when this returns; ends with the signal. */
  tap(filter: TapFilter, signal: AbortSignal): AsyncIterable<TapBatch>;
  stats(windowMs: number, by?: StatGrouping): Promise<StatRow[]>;
  /** At once, then once a second. */
  watchStats(windowMs: number, signal: AbortSignal, by?: StatGrouping): AsyncIterable<StatRow[]>;
  traces(query: TraceQuery): Promise<TraceSummary[]>;
  /** @param id or the beginning of one */
  trace(id: string): Promise<Result<Trace>>;
  explain(query: ExplainQuery): Promise<Result<Explanation>>;
  start(service: string): Promise<Result<void>>;
  stop(service: string): Promise<Result<void>>;
  restart(service: string): Promise<Result<void>>;
  scale(service: string, subset: string | null, replicas: number): Promise<Result<void>>;
  routes(): Promise<RouteStatus[]>;
  endpoints(): Promise<EndpointStatus[]>;
  certificates(): Promise<CertificateStatus[]>;
  rotateCertificates(service: string | null): Promise<Result<CertificateStatus[]>>;
  inject(request: InjectionRequest): Promise<Result<InjectionStatus>>;
  updateInjection(instance: string, update: { pid: number }): Promise<Result<void>>;
  eject(name: string | null): Promise<Result<string[]>>;
  injections(): Promise<InjectionStatus[]>;
  readonly databases: DatabaseControl;
  down(timeoutMs: number, progress: (line: string) => void): Promise<Result<void>>;
  /** Ties the mesh to this process. Resolves when the daemon has noted it. */
  attach(): Promise<Attachment>;
  close(): void;
}

type WireProblem = ReturnType<typeof problemToWire>;
type Message = object;

/**
 * @param deadlineMs for the connection, not for the calls on it.
 * @returns MESH-R101 if nothing answers on the socket.
 */
export async function connectControl(socketPath: string, deadlineMs = 2_000): Promise<Result<ControlClient>> {
  const refusal = await probe(socketPath, deadlineMs);
  if (refusal !== null) return fail(refusal);
  const Client = loadControlService();
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), {
    'grpc.enable_http_proxy': 0,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': 64 * 1024 * 1024,
    // The authority of a unix socket means nothing to anyone; without this it is the escaped path.
    'grpc.default_authority': 'localhost',
  });
  const connected = await new Promise<Error | undefined>((resolve) => {
    client.waitForReady(Date.now() + deadlineMs, resolve);
  });
  if (connected !== undefined) {
    client.close();
    return fail(silent(socketPath, deadlineMs));
  }
  return ok(controlClient(client as unknown as CallSurface));
}

const silent = (socketPath: string, deadlineMs: number): Problem => ({
  code: 'MESH-R104',
  message: `the daemon does not answer on ${socketPath} within ${deadlineMs} ms`,
  hint: 'it may be overloaded or stopped (SIGSTOP); `mesh down` ends it in any state',
});

/** A plain connection first: it fails at once and with a reason, where a gRPC channel would back off and retry. */
function probe(socketPath: string, deadlineMs: number): Promise<Problem | null> {
  return new Promise((resolve) => {
    const socket = net.connect(socketPath);
    const settle = (problem: Problem | null) => {
      clearTimeout(deadline);
      socket.destroy();
      resolve(problem);
    };
    const deadline = setTimeout(() => settle(silent(socketPath, deadlineMs)), deadlineMs);
    socket.once('connect', () => settle(null));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      settle(
        error.code === 'EACCES'
          ? {
              code: 'MESH-R105',
              message: `the mesh of this directory belongs to another user: no access to ${socketPath}`,
              hint: 'run the command as the user who ran `mesh up`, without sudo',
            }
          : { code: 'MESH-R101', message: 'no mesh is running here', hint: 'start it with `mesh up`' },
      );
    });
  });
}

/** What grpc-js generates from the service definition, as far as it is used here. */
interface CallSurface {
  close(): void;
  Attach(): ClientDuplexStream<Message, Message>;
  [method: string]: unknown;
}

type UnaryMethod = (request: Message, answer: (error: ServiceError | null, reply: never) => void) => { cancel(): void };
type StreamMethod = (request: Message) => ClientReadableStream<never>;

function controlClient(client: CallSurface): ControlClient {
  const open = new Set<{ cancel(): void }>();
  const unary = <Reply>(method: string, request: Message): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const call = (client[method] as UnaryMethod).call(client, request, (error, reply) => {
        open.delete(call);
        if (error === null) resolve(reply);
        else reject(callError(error));
      });
      open.add(call);
    });
  const operation = async (method: string, request: Message): Promise<Result<void>> =>
    resultOf((await unary<{ problems: WireProblem[] }>(method, request)).problems, undefined);
  const track = <T extends { cancel(): void; on(event: 'close', listener: () => void): unknown }>(call: T): T => {
    open.add(call);
    call.on('close', () => open.delete(call));
    return call;
  };
  const subscribe = (method: string, request: Message): ClientReadableStream<never> =>
    track((client[method] as StreamMethod).call(client, request)).on('error', () => {
      // Seen by whoever iterates; without a listener a stream that nobody reads yet would throw.
    });

  return {
    status: async () => statusFromWire(await unary('GetStatus', {})),
    watchStatus: (signal) => messages(subscribe('WatchStatus', {}), statusFromWire, signal),
    watchNotices: (signal) => messages(subscribe('WatchNotices', {}), noticeFromWire, signal),
    logs: (query, signal) =>
      messages(
        subscribe('Logs', logQueryToWire(query)),
        (batch: { lines: Parameters<typeof logLineFromWire>[0][] }) => batch.lines.map(logLineFromWire),
        signal,
      ),
    tap: (filter, signal) => messages(subscribe('Tap', tapFilterToWire(filter)), tapBatchFromWire, signal),
    stats: async (windowMs, by) => statsFromWire(await unary<StatsReply>('GetStats', statsRequestToWire(windowMs, by))),
    watchStats: (windowMs, signal, by) =>
      messages(subscribe('WatchStats', statsRequestToWire(windowMs, by)), statsFromWire, signal),
    traces: async (query) =>
      (await unary<{ traces: TraceSummaryMessage[] }>('ListTraces', traceQueryToWire(query))).traces.map(
        traceSummaryFromWire,
      ),
    async trace(id) {
      const { trace, problems } = await unary<{ trace: TraceMessage | null; problems: WireProblem[] }>('GetTrace', {
        id,
      });
      return trace === null ? fail(...problems.map(problemFromWire)) : ok(traceFromWire(trace));
    },
    async explain(query) {
      const { explanationJson, problems } = await unary<{ explanationJson: string; problems: WireProblem[] }>(
        'Explain',
        explainQueryToWire(query),
      );
      return explanationJson === '' ? fail(...problems.map(problemFromWire)) : ok(explanationFromWire(explanationJson));
    },
    start: (service) => operation('StartService', { service }),
    stop: (service) => operation('StopService', { service }),
    restart: (service) => operation('RestartService', { service }),
    scale: (service, subset, replicas) => operation('ScaleService', { service, subset, replicas }),
    routes: async () => (await unary<{ routes: RouteStatus[] }>('ListRoutes', {})).routes.map(routeFromWire),
    endpoints: async () =>
      (await unary<{ endpoints: Parameters<typeof endpointFromWire>[0][] }>('ListEndpoints', {})).endpoints.map(
        endpointFromWire,
      ),
    certificates: async () =>
      (
        await unary<{ certificates: Parameters<typeof certificateFromWire>[0][] }>('ListCertificates', {})
      ).certificates.map(certificateFromWire),
    async rotateCertificates(service) {
      const reply = await unary<{
        certificates: Parameters<typeof certificateFromWire>[0][];
        problems: WireProblem[];
      }>('RotateCertificates', { service });
      return resultOf(reply.problems, reply.certificates.map(certificateFromWire));
    },
    async inject(request) {
      const { injection, problems } = await unary<{ injection: InjectionMessage | null; problems: WireProblem[] }>(
        'Inject',
        injectionRequestToWire(request),
      );
      return injection === null ? fail(...problems.map(problemFromWire)) : ok(injectionFromWire(injection));
    },
    updateInjection: (instance, { pid }) => operation('UpdateInjection', { instance, pid }),
    async eject(name) {
      const reply = await unary<{ instances: string[]; problems: WireProblem[] }>('Eject', { name });
      return resultOf(reply.problems, reply.instances);
    },
    injections: async () =>
      (await unary<{ injections: InjectionMessage[] }>('ListInjections', {})).injections.map(injectionFromWire),
    databases: {
      async access(name, as) {
        const { database, problems } = await unary<{ database: DatabaseMessage | null; problems: WireProblem[] }>(
          'GetDatabase',
          { name, as: as ?? '' },
        );
        return database === null ? fail(...problems.map(problemFromWire)) : ok(databaseFromWire(database));
      },
      reset: (name) => operation('ResetDatabase', { name }),
      migrate: (name) => operation('MigrateDatabase', { name }),
    },
    async down(timeoutMs, progress) {
      const events = messages(
        subscribe('Down', { timeoutMs }),
        (event: { progress?: string; result?: { problems: WireProblem[] } }) => event,
        new AbortController().signal,
      );
      for await (const event of events) {
        if (event.result) return resultOf(event.result.problems, undefined);
        if (event.progress !== undefined) progress(event.progress);
      }
      throw callError(undefined);
    },
    attach: () => attach(track(client.Attach())),
    close() {
      // A channel closes only when its calls have ended.
      for (const call of open) call.cancel();
      client.close();
    },
  };
}

const resultOf = <T>(problems: WireProblem[], value: T): Result<T> =>
  problems.length > 0 ? fail(...problems.map(problemFromWire)) : ok(value);

function callError(error: Partial<ServiceError> | undefined): ControlError {
  if (error === undefined || error.code === grpcStatus.UNAVAILABLE || error.code === grpcStatus.CANCELLED) {
    return new ControlError(
      {
        code: 'MESH-R106',
        message: 'the connection to the daemon was lost',
        hint: 'see .mesh/daemon.log for the reason; `mesh down` clears what is left, `mesh up` starts anew',
      },
      error,
    );
  }
  return new ControlError(
    {
      code: 'MESH-R107',
      message: `the daemon failed: ${error.details || error.message}`,
      hint: 'this is a defect of mesh; .mesh/daemon.log has more',
    },
    error,
  );
}

async function* messages<Wire, T>(
  call: ClientReadableStream<Wire>,
  convert: (wire: Wire) => T,
  signal: AbortSignal,
): AsyncGenerator<T> {
  const cancel = () => call.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    if (signal.aborted) return;
    for await (const message of call as AsyncIterable<Wire>) {
      yield convert(message);
      if (signal.aborted) return;
    }
  } catch (error) {
    if (!signal.aborted) throw callError(error as ServiceError);
  } finally {
    signal.removeEventListener('abort', cancel);
    call.cancel();
  }
}

function attach(call: ClientDuplexStream<Message, Message>): Promise<Attachment> {
  return new Promise((resolve, reject) => {
    const ended = new Promise<void>((end) => {
      call.on('end', end);
      call.on('close', end);
      call.on('error', (error: ServiceError) => {
        reject(callError(error));
        end();
      });
    });
    call.once('data', () => {
      resolve({
        ended,
        detach: () =>
          new Promise<void>((detached) => {
            call.write({ action: 'ACTION_DETACH' });
            call.end();
            void ended.then(detached);
          }),
      });
      // Consumed from here on, so that `end` is seen.
      call.resume();
    });
    call.write({ action: 'ACTION_ATTACH' });
  });
}
