import { chmod, mkdir, mkdtemp, rename, rm, stat, unlink } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import {
  status as grpcStatus,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js';
import type { StatRow } from '../../model/events.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import type { LogLine } from '../../model/status.ts';
import { databaseToWire } from './database-wire.ts';
import { type ExplainMessage, explainQueryFromWire } from './explain-wire.ts';
import { type InjectMessage, injectionRequestFromWire, injectionToWire } from './injection-wire.ts';
import type { MeshControl, MeshNotice } from './mesh-control.ts';
import { loadControlService } from './proto.ts';
import { createTapEncoder, withEncodedTaps } from './tap-encoder.ts';
import { type TraceQueryMessage, traceQueryFromWire, traceSummaryToWire, traceToWire } from './trace-wire.ts';
import { groupingFromWire, type StatsRequest, tapFilterFromWire, type tapFilterToWire } from './traffic-wire.ts';
import {
  certificateToWire,
  endpointToWire,
  logLineToWire,
  logQueryFromWire,
  type logQueryToWire,
  noticeToWire,
  problemToWire,
  statusToWire,
} from './wire.ts';

export interface ControlServer {
  /** Ends all streams, lets replies leave, removes the socket. */
  close(): Promise<void>;
}

export interface ControlServerOptions {
  /** An attached client ended without detaching: its mesh has to go down. Called at most once for each client. */
  onAttachedClientGone?: () => void;
  /** A client has attached; from now on its end is noticed. */
  onAttached?: () => void;
}

/** Most notices kept for a client that does not read; more are dropped, oldest first. */
const NOTICE_BACKLOG = 256;
/** Time for replies under way when the server closes. */
const CLOSE_GRACE_MS = 1_000;

/**
 * Serves the control API on a unix socket, mode 0600.
 * @returns MESH-R102 if another daemon answers there, MESH-R103 if the socket cannot be created.
 */
export async function serveControl(
  control: MeshControl,
  socketPath: string,
  options: ControlServerOptions = {},
): Promise<Result<ControlServer>> {
  if (await answers(socketPath)) {
    return fail({
      code: 'MESH-R102',
      message: `another daemon of this mesh answers on ${socketPath}`,
      hint: 'use it, or stop it with `mesh down`',
    });
  }
  const openStreams = new Set<{ end(): void }>();
  const server = new Server({ 'grpc.max_receive_message_length': 4 * 1024 * 1024 });
  server.addService(withEncodedTaps(loadControlService().service), implementation(control, options, openStreams));
  let inode: number;
  try {
    inode = await publishSocket(server, socketPath);
  } catch (error) {
    server.forceShutdown();
    return fail({
      code: 'MESH-R103',
      message: `the control socket ${socketPath} cannot be created: ${(error as Error).message}`,
      hint: 'check that the directory exists, is writable by you and is on a local file system with free space',
    });
  }
  return ok({
    async close() {
      for (const stream of openStreams) stream.end();
      await new Promise<void>((resolve) => {
        const deadline = setTimeout(() => {
          server.forceShutdown();
          resolve();
        }, CLOSE_GRACE_MS);
        server.tryShutdown(() => {
          clearTimeout(deadline);
          resolve();
        });
      });
      // Only our own socket: a successor may already have published its own under this name.
      const current = await stat(socketPath).catch(() => null);
      if (current?.ino === inode) await unlink(socketPath).catch(() => undefined);
    },
  });
}

/**
 * Listens in a private directory beside the final path, then renames: the socket is never reachable with wider
 * permissions than 0600, never there without a listener behind it, and a dead daemon's socket is replaced atomically.
 */
async function publishSocket(server: Server, socketPath: string): Promise<number> {
  const directory = path.dirname(socketPath);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const privateDir = await mkdtemp(path.join(directory, '.s'));
  const first = path.join(privateDir, 's');
  try {
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(`unix:${first}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      );
    });
    await chmod(first, 0o600);
    const { ino } = await stat(first);
    await rename(first, socketPath);
    return ino;
  } finally {
    await rm(privateDir, { recursive: true, force: true });
  }
}

/** Whether a process accepts connections on this socket. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** A streaming call as far as its end is concerned, whatever its messages are. */
interface OpenStream {
  on(event: string, listener: () => void): unknown;
  once(event: string, listener: () => void): unknown;
  off(event: string, listener: () => void): unknown;
  emit(event: string, payload: unknown): unknown;
  end(): unknown;
}

type Unary<Request, Reply> = (call: ServerUnaryCall<Request, Reply>, reply: sendUnaryData<Reply>) => void;

interface OperationReply {
  problems: ReturnType<typeof problemToWire>[];
}

const problemsOf = (result: Result<unknown>): readonly Problem[] => (result.ok ? [] : result.problems);

/** A throw of the daemon is a bug: it becomes INTERNAL with its message, so that the client does not hang. */
function unary<Request, Reply>(answer: (request: Request) => Reply | Promise<Reply>): Unary<Request, Reply> {
  return (call, reply) => {
    Promise.resolve()
      .then(() => answer(call.request))
      .then(
        (value) => reply(null, value),
        (error: Error) => reply({ code: grpcStatus.INTERNAL, details: error.stack ?? error.message }),
      );
  };
}

const operation = <Request>(run: (request: Request) => Promise<Result<void>>): Unary<Request, OperationReply> =>
  unary(async (request) => ({ problems: problemsOf(await run(request)).map(problemToWire) }));

function implementation(control: MeshControl, options: ControlServerOptions, openStreams: Set<{ end(): void }>) {
  /** Ends with the server, or when its client is gone; `stop` runs once in either case. */
  const track = (call: OpenStream, stop: () => void): void => {
    let done = false;
    const finish = () => {
      if (done) return;
      done = true;
      openStreams.delete(stream);
      stop();
    };
    const stream = {
      end: () => {
        finish();
        call.end();
      },
    };
    openStreams.add(stream);
    call.on('cancelled', finish);
    call.on('finish', finish);
    call.on('error', finish);
  };

  // Made when the first tap comes: it reads the definitions anew.
  let encoder: ReturnType<typeof createTapEncoder> | null = null;
  const encodeTaps = () => (encoder ??= createTapEncoder());

  return {
    GetStatus: unary(() => statusToWire(control.status())),

    WatchStatus(call: ServerWritableStream<unknown, unknown>) {
      let writable = true;
      let pending: unknown = null;
      const send = (message: unknown) => {
        writable = call.write(message);
      };
      call.on('drain', () => {
        writable = true;
        const latest = pending;
        pending = null;
        if (latest !== null) send(latest);
      });
      const stop = control.watchStatus((status) => {
        // Only the latest matters to a client that lags behind.
        if (writable) send(statusToWire(status));
        else pending = statusToWire(status);
      });
      track(call, stop);
    },

    WatchNotices(call: ServerWritableStream<unknown, unknown>) {
      let writable = true;
      const backlog: MeshNotice[] = [];
      call.on('drain', () => {
        writable = true;
        while (writable && backlog.length > 0) writable = call.write(noticeToWire(backlog.shift()!));
      });
      const stop = control.watchNotices((notice) => {
        if (writable) {
          writable = call.write(noticeToWire(notice));
          return;
        }
        backlog.push(notice);
        if (backlog.length > NOTICE_BACKLOG) backlog.shift();
      });
      track(call, stop);
      // Sent at once, so that the client knows that from here on it misses nothing.
      call.sendMetadata(new Metadata());
    },

    Logs(call: ServerWritableStream<ReturnType<typeof logQueryToWire>, unknown>) {
      const abort = new AbortController();
      track(call, () => abort.abort());
      const toWire = (lines: LogLine[]) => ({ lines: lines.map(logLineToWire) });
      void sendAll(call, control.logs(logQueryFromWire(call.request), abort.signal), toWire, abort.signal);
    },

    Tap(call: ServerWritableStream<ReturnType<typeof tapFilterToWire>, unknown>) {
      const abort = new AbortController();
      track(call, () => abort.abort());
      // Sent at once, so that the client knows that what it asks for from here on is seen.
      call.sendMetadata(new Metadata());
      void sendAll(call, control.tap(tapFilterFromWire(call.request), abort.signal), encodeTaps(), abort.signal);
    },
    GetStats: unary((request: StatsRequest) => ({
      rows: control.stats(request.windowMs, groupingFromWire(request)),
    })),
    WatchStats(call: ServerWritableStream<StatsRequest, unknown>) {
      let writable = true;
      call.on('drain', () => {
        writable = true;
      });
      // A client that lags misses a second; the next row says all the same.
      const send = (rows: StatRow[]) => {
        if (writable) writable = call.write({ rows });
      };
      track(call, control.watchStats(call.request.windowMs, send, groupingFromWire(call.request)));
    },

    ListTraces: unary(async (request: TraceQueryMessage) => ({
      traces: (await control.traces(traceQueryFromWire(request))).map(traceSummaryToWire),
    })),
    GetTrace: unary(async ({ id }: { id: string }) => {
      const result = await control.trace(id);
      return { trace: result.ok ? traceToWire(result.value) : null, problems: problemsOf(result).map(problemToWire) };
    }),

    Explain: unary(async (request: ExplainMessage) => {
      const result = await control.explain(explainQueryFromWire(request));
      return {
        explanationJson: result.ok ? JSON.stringify(result.value) : '',
        problems: problemsOf(result).map(problemToWire),
      };
    }),

    StartService: operation(({ service }: { service: string }) => control.start(service)),
    StopService: operation(({ service }: { service: string }) => control.stop(service)),
    RestartService: operation(({ service }: { service: string }) => control.restart(service)),
    ScaleService: operation(({ service, subset, replicas }: { service: string; subset?: string; replicas: number }) =>
      control.scale(service, subset ?? null, replicas),
    ),

    ListRoutes: unary(() => ({ routes: control.routes() })),
    ListEndpoints: unary(() => ({ endpoints: control.endpoints().map(endpointToWire) })),
    ListCertificates: unary(() => ({ certificates: control.certificates().map(certificateToWire) })),
    RotateCertificates: unary(async ({ service }: { service?: string }) => {
      const result = await control.rotateCertificates(service ?? null);
      return {
        certificates: result.ok ? result.value.map(certificateToWire) : [],
        problems: problemsOf(result).map(problemToWire),
      };
    }),

    Inject: unary(async (request: InjectMessage) => {
      const result = await control.inject(injectionRequestFromWire(request));
      return {
        injection: result.ok ? injectionToWire(result.value) : null,
        problems: problemsOf(result).map(problemToWire),
      };
    }),
    UpdateInjection: operation(({ instance, pid }: { instance: string; pid: number }) =>
      control.updateInjection(instance, { pid }),
    ),
    Eject: unary(async ({ name }: { name?: string }) => {
      const result = await control.eject(name ?? null);
      return { instances: result.ok ? result.value : [], problems: problemsOf(result).map(problemToWire) };
    }),
    ListInjections: unary(() => ({ injections: control.injections().map(injectionToWire) })),

    GetDatabase: unary(async ({ name, as }: { name: string; as: string }) => {
      const result = await control.databases.access(name, as === '' ? null : as);
      return {
        database: result.ok ? databaseToWire(result.value) : null,
        problems: problemsOf(result).map(problemToWire),
      };
    }),
    ResetDatabase: operation(({ name }: { name: string }) => control.databases.reset(name)),
    MigrateDatabase: operation(({ name }: { name: string }) => control.databases.migrate(name)),

    Down(call: ServerWritableStream<{ timeoutMs: number }, unknown>) {
      // Not tracked: it ends with its own result, which is the reason why the server closes.
      const send = (event: unknown) => {
        if (!call.cancelled) call.write(event);
      };
      call.on('error', () => undefined);
      control
        .down(call.request.timeoutMs, (progress) => send({ progress }))
        .then(
          (result) => {
            send({ result: { problems: problemsOf(result).map(problemToWire) } });
            call.end();
          },
          (error: Error) => failStream(call, error),
        );
    },

    Attach(call: ServerDuplexStream<{ action: string }, unknown>) {
      let attached = false;
      const gone = () => {
        if (!attached) return;
        attached = false;
        options.onAttachedClientGone?.();
      };
      track(call, () => {
        attached = false;
      });
      call.prependListener('cancelled', gone);
      call.on('data', ({ action }) => {
        attached = action === 'ACTION_ATTACH';
        if (!attached) return;
        options.onAttached?.();
        call.write({ attached });
      });
      call.on('end', () => {
        gone();
        call.end();
      });
    },
  };
}

/** Pulls no more from the daemon than the client takes: a slow `mesh logs` slows nobody else down. */
async function sendAll<T>(
  call: OpenStream & { write(message: unknown): boolean },
  source: AsyncIterable<T>,
  toWire: (value: T) => unknown,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const value of source) {
      if (signal.aborted) break;
      if (!call.write(toWire(value))) await drained(call, signal);
    }
    if (!signal.aborted) call.end();
  } catch (error) {
    if (signal.aborted) return;
    failStream(call, error as Error);
  }
}

/** grpc-js turns the event into the call's status; `destroy` would drop the status with the stream. */
function failStream(call: OpenStream, error: Error): void {
  call.emit('error', { code: grpcStatus.INTERNAL, details: error.stack ?? error.message });
}

function drained(call: OpenStream, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      call.off('drain', settle);
      signal.removeEventListener('abort', settle);
      resolve();
    };
    call.once('drain', settle);
    signal.addEventListener('abort', settle, { once: true });
  });
}
