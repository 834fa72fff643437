import http from 'node:http';
import type { ClientHttp2Session } from 'node:http2';
import net from 'node:net';
import type { Protocol } from '../../model/config.ts';
import type { Command, ProbeAction } from '../../model/resolved.ts';

export type ProbeOutcome = { ok: true } | { ok: false; reason: string };

/** What a probe looks at. */
export interface ProbeTarget {
  /** Port of the application; null: it has none. */
  port: number | null;
  protocol: Protocol;
  /** Runs a command in the environment of the instance; null code: the signal ended it. */
  run(command: Command, signal: AbortSignal): Promise<{ code: number | null; reason: string }>;
}

/** Probes once. The signal is the timeout; its abort counts as a failure. `log` probes have no action: lines come by themselves. */
export async function probeOnce(
  action: Exclude<ProbeAction, { kind: 'log' }>,
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  if (action.kind === 'command') {
    const { code, reason } = await target.run(action.command, signal);
    return code === 0 ? { ok: true } : failed(`command ${reason}`);
  }
  const port = ('port' in action ? action.port : null) ?? target.port;
  if (port === null) return failed('it has no port to probe');
  if (action.kind === 'tcp') return probeTcp(port, signal);
  if (action.kind === 'postgres') {
    const { probeDatabase } = await import('../resources/database-probe.ts');
    return probeDatabase(action, port, signal);
  }
  const http2 = target.protocol === 'http2' || target.protocol === 'grpc';
  if (action.kind === 'http')
    return http2 && action.port === null
      ? probeHttp2(port, action.path, signal)
      : probeHttp1(port, action.path, signal);
  return probeGrpc(port, action.service, signal);
}

const failed = (reason: string): ProbeOutcome => ({ ok: false, reason });

function probeTcp(port: number, signal: AbortSignal): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port });
    const finish = (outcome: ProbeOutcome): void => {
      signal.removeEventListener('abort', onAbort);
      // In good order: a reset is an error event in the service, and ends those that do not expect it. Reading on what
      // it greets with keeps the kernel from resetting in our place.
      socket.resume().end();
      socket.setTimeout(1_000, () => socket.destroy());
      resolve(outcome);
    };
    const onAbort = (): void => finish(failed(`port ${port}: no answer in time`));
    socket.once('connect', () => finish({ ok: true }));
    socket.on('error', (error) => finish(failed(`port ${port}: ${describeError(error)}`)));
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

function probeHttp1(port: number, path: string, signal: AbortSignal): Promise<ProbeOutcome> {
  const what = `GET ${path}`;
  return new Promise((resolve) => {
    const request = http.get({ host: '127.0.0.1', port, path, agent: false, signal, headers: PROBE_HEADERS });
    request.once('response', (response) => {
      response.on('error', () => {});
      resolve(judgeStatus(what, response.statusCode ?? 0));
      request.destroy();
    });
    request.on('error', (error) => resolve(failed(`${what}: ${describeError(error)}`)));
  });
}

async function probeHttp2(port: number, path: string, signal: AbortSignal): Promise<ProbeOutcome> {
  const what = `GET ${path}`;
  return withSession(port, what, signal, (session, resolve) => {
    const stream = session.request({ ':path': path, ...PROBE_HEADERS });
    stream.once('response', (headers) => resolve(judgeStatus(what, Number(headers[':status'] ?? 0))));
    stream.on('error', (error) => resolve(failed(`${what}: ${describeError(error)}`)));
    stream.end();
  });
}

/** `grpc.health.v1.Health/Check` by hand: node:http2 is at hand, a gRPC library would cost 40 ms and 10 MB to load. */
async function probeGrpc(port: number, service: string, signal: AbortSignal): Promise<ProbeOutcome> {
  const what = `gRPC health of ${service === '' ? 'the server' : service}`;
  return withSession(port, what, signal, (session, resolve) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
      ...PROBE_HEADERS,
    });
    const chunks: Buffer[] = [];
    let status: unknown;
    let message: unknown;
    const readStatus = (headers: Record<string, unknown>): void => {
      status = headers['grpc-status'] ?? status;
      message = headers['grpc-message'] ?? message;
    };
    stream.on('response', (headers) => {
      readStatus(headers);
      if (headers[':status'] !== 200) resolve(failed(`${what}: HTTP status ${headers[':status']}, not a gRPC server`));
    });
    stream.on('trailers', readStatus);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', (error) => resolve(failed(`${what}: ${describeError(error)}`)));
    stream.on('close', () => resolve(judgeHealth(what, String(status ?? ''), message, Buffer.concat(chunks))));
    stream.end(encodeHealthRequest(service));
  });
}

const PROBE_HEADERS = { 'user-agent': 'mesh-probe' };

const SERVING_STATUS = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

function judgeStatus(what: string, status: number): ProbeOutcome {
  return status >= 200 && status < 400 ? { ok: true } : failed(`${what}: status ${status}`);
}

function judgeHealth(what: string, status: string, message: unknown, body: Buffer): ProbeOutcome {
  if (status === '12') return failed(`${what}: the server does not implement grpc.health.v1.Health`);
  if (status === '5') return failed(`${what}: the server knows no such service`);
  if (status !== '0')
    return failed(`${what}: ${status === '' ? 'no answer' : `grpc-status ${status} ${message ?? ''}`}`);
  // HealthCheckResponse { ServingStatus status = 1; } behind the five bytes of a gRPC frame; an absent field is 0.
  const value = body.length > 6 && body[5] === 0x08 ? body[6] : 0;
  return value === 1 ? { ok: true } : failed(`${what}: ${SERVING_STATUS[value] ?? value}`);
}

/** HealthCheckRequest { string service = 1; } in a gRPC frame: flag, length, message. */
function encodeHealthRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const length: number[] = [];
  for (let rest = name.length; rest > 0; rest >>>= 7) length.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...length]), name]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  return Buffer.concat([frame, message]);
}

async function withSession(
  port: number,
  what: string,
  signal: AbortSignal,
  use: (session: ClientHttp2Session, resolve: (outcome: ProbeOutcome) => void) => void,
): Promise<ProbeOutcome> {
  const http2 = await import('node:http2');
  if (signal.aborted) return failed(`${what}: no answer in time`);
  return new Promise((resolve) => {
    const session = http2.connect(`http://127.0.0.1:${port}`);
    const finish = (outcome: ProbeOutcome): void => {
      signal.removeEventListener('abort', onAbort);
      resolve(outcome);
      session.destroy();
    };
    const onAbort = (): void => finish(failed(`${what}: no answer in time`));
    signal.addEventListener('abort', onAbort, { once: true });
    session.on('error', (error) => finish(failed(`${what}: ${describeError(error)}`)));
    session.on('close', () => finish(failed(`${what}: the connection was closed`)));
    session.once('connect', () => use(session, finish));
  });
}

function describeError(error: Error): string {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (code === 'ECONNREFUSED') return 'connection refused';
  if (code === 'ECONNRESET') return 'connection reset';
  if (code === 'ABORT_ERR') return 'no answer in time';
  if (code.startsWith('HPE_') || code.startsWith('ERR_HTTP2'))
    return 'the answer is not HTTP as declared in `protocol`';
  return error.message;
}
