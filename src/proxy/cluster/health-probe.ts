import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import tls from 'node:tls';
import type { HealthCheck } from '../../model/resolved.ts';

/** Where a check goes and how. */
export interface ProbeTarget {
  readonly host: string;
  readonly port: number;
  /** Options of the TLS connection, null for plain text: only services outside the mesh have it. */
  readonly tls: tls.ConnectionOptions | null;
  /** Host name to ask for; null: the address. */
  readonly authority: string | null;
}

/** Null: passed; otherwise why not, for people. Never throws. Ends early, as failed, when the signal fires. */
export type Probe = (action: HealthCheck['action'], target: ProbeTarget, signal: AbortSignal) => Promise<string | null>;

/** One check over a connection of its own: a pooled one would prove that an old connection lives, not that a new one can be had. */
export const probeEndpoint: Probe = (action, target, signal) => {
  switch (action.kind) {
    case 'http':
      return probeHttp(action.path, target, signal);
    case 'tcp':
      return probeTcp(target, signal);
    case 'grpc':
      return probeGrpc(action.service, target, signal);
  }
};

function probeTcp(target: ProbeTarget, signal: AbortSignal): Promise<string | null> {
  return new Promise((resolve) => {
    const at = { host: target.host, port: target.port };
    const socket = target.tls === null ? net.connect(at) : tls.connect({ ...target.tls, ...at });
    const finish = (failure: string | null) => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      resolve(failure);
    };
    const onAbort = () => finish(describeAbort(signal));
    socket.on('error', (error) => finish(error.message));
    socket.once(target.tls === null ? 'connect' : 'secureConnect', () => finish(null));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort);
  });
}

function probeHttp(path: string, target: ProbeTarget, signal: AbortSignal): Promise<string | null> {
  return new Promise((resolve) => {
    const headers: Record<string, string> = { 'user-agent': USER_AGENT, connection: 'close' };
    if (target.authority !== null) headers.host = target.authority;
    const at = { host: target.host, port: target.port, path, agent: false as const, headers };
    const request = target.tls === null ? http.request(at) : https.request({ ...target.tls, ...at });
    const finish = (failure: string | null) => {
      signal.removeEventListener('abort', onAbort);
      request.destroy();
      resolve(failure);
    };
    const onAbort = () => finish(describeAbort(signal));
    request.on('error', (error) => finish(error.message));
    request.once('response', (response) => {
      const status = response.statusCode ?? 0;
      finish(status >= 200 && status < 400 ? null : `GET ${path} answered ${status}`);
    });
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort);
    request.end();
  });
}

const USER_AGENT = 'mesh-health-check';
const SERVING = 1;
/** Names of grpc.health.v1.HealthCheckResponse.ServingStatus. */
const SERVING_STATUS = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
/** The answer has two bytes of message; a server that sends much more is no health server. */
const MOST_ANSWER_BYTES = 4096;

/** `grpc.health.v1.Health/Check`. The two messages are small enough to be written and read by hand. */
function probeGrpc(service: string, target: ProbeTarget, signal: AbortSignal): Promise<string | null> {
  return new Promise((resolve) => {
    const scheme = target.tls === null ? 'http' : 'https';
    const address = `${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`;
    const session = http2.connect(
      `${scheme}://${address}`,
      target.tls === null ? {} : { ...target.tls, ALPNProtocols: ['h2'] },
    );
    let settled = false;
    const finish = (failure: string | null) => {
      if (settled) return;
      settled = true;
      signal.removeEventListener('abort', onAbort);
      session.destroy();
      resolve(failure);
    };
    const onAbort = () => finish(describeAbort(signal));
    session.on('error', (error: Error) => finish(error.message));
    session.on('close', () => finish('the connection was closed'));
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort);

    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      ...(target.authority === null ? {} : { ':authority': target.authority }),
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': USER_AGENT,
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    let httpStatus = 0;
    let grpcStatus: string | undefined;
    stream.on('error', (error: Error) => finish(error.message));
    stream.on('response', (headers) => {
      httpStatus = Number(headers[':status']);
      grpcStatus = firstValue(headers['grpc-status']);
    });
    stream.on('trailers', (trailers) => {
      grpcStatus = firstValue(trailers['grpc-status']) ?? grpcStatus;
    });
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      if ((bytes += chunk.length) > MOST_ANSWER_BYTES) finish('the answer is no HealthCheckResponse');
    });
    stream.on('end', () => finish(judge(httpStatus, grpcStatus, Buffer.concat(chunks))));
    stream.end(encodeRequest(service));
  });
}

function judge(httpStatus: number, grpcStatus: string | undefined, body: Buffer): string | null {
  if (httpStatus !== 200) return `the health service answered HTTP ${httpStatus}`;
  if (grpcStatus !== '0') {
    if (grpcStatus === '12') return 'the server has no grpc.health.v1.Health service';
    if (grpcStatus === '5') return 'the health service does not know that service name';
    return `the health service answered grpc-status ${grpcStatus ?? 'nothing'}`;
  }
  const status = decodeStatus(body);
  return status === SERVING ? null : `the health service says ${SERVING_STATUS[status] ?? status}`;
}

/** HealthCheckRequest { string service = 1; } behind gRPC's five-byte prefix. */
function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service, 'utf8');
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a]), varint(name.length), name]);
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, 5);
  return frame;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** HealthCheckResponse { ServingStatus status = 1; }: the last field 1 counts, UNKNOWN where it is missing. */
function decodeStatus(body: Buffer): number {
  if (body.length < 5 || body[0] !== 0) return 0;
  const end = Math.min(body.length, 5 + body.readUInt32BE(1));
  let status = 0;
  for (let at = 5; at + 1 < end; at += 2) {
    // Anything but a one-byte varint in field 1 belongs to a message of a later version.
    if (body[at] !== 0x08 || body[at + 1] > 0x7f) return status;
    status = body[at + 1];
  }
  return status;
}

function firstValue(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function describeAbort(signal: AbortSignal): string {
  return signal.reason instanceof Error ? signal.reason.message : String(signal.reason);
}
