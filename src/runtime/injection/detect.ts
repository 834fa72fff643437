import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import type { Protocol } from '../../model/config.ts';
import { problem } from '../../model/errors.ts';
import { fail, ok, type Result } from '../../model/result.ts';

export interface Detected {
  protocol: Protocol;
  /** What was seen, for people: `HTTP/1.1`, `gRPC, health`, `TLS, then HTTP/1.1`. */
  protocolFrom: string;
  tls: boolean;
}

export interface DetectionTarget {
  readonly host: string;
  readonly port: number;
  /** Command line of the process, empty where it is not known: says which probe comes first. */
  readonly command: string;
  /** On this machine: what answers, answers soon. */
  readonly local: boolean;
  /** What it is said to speak: then a server that says nothing is not waited for. */
  readonly wanted: Protocol | null;
}

/** For all probes together, which ends sooner with the first answer that settles it. Remote ones have round trips to make. */
const UNKNOWN_MS = 1_000;
const WANTED_MS = 200;
const REMOTE_MS = 2_000;
/** For the second question to a server that has answered the first. */
const NEXT_MS = 500;
/** A server that says nothing to the first probe for so long gets the others as well. */
const LOCAL_PATIENCE_MS = 50;
const REMOTE_PATIENCE_MS = 500;
/** For gRPC's answer once HTTP/2 is certain. */
const GRPC_MS = 500;

/**
 * HTTP/1.1 without Host, which a server has to refuse by itself (RFC 9112, section 3.2), so that no application code runs;
 * those that do not see to it answer a HEAD. Redis takes it for a command that it does not know, and not, as with Host,
 * for an attack.
 */
const HTTP1_PROBE = 'HEAD / HTTP/1.1\r\nUser-Agent: mesh-probe\r\nConnection: close\r\n\r\n';
/** RFC 9113, section 3.4: preface and an empty SETTINGS frame. */
const HTTP2_PROBE = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);
/** PostgreSQL's SSLRequest: length 8 and a code that no version has. Answered with one byte, `S` or `N`. */
const POSTGRES_PROBE = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

/** What the servers of HTTPS say to HTTP, each in its own words. */
const WANTS_TLS = /https|\bssl\b|\btls\b/i;

/**
 * What a listening process speaks, found out by a few connections of their own that are closed again. The cheap question
 * comes first and mostly settles it; the others follow together.
 * @returns MESH-J101 if nothing listens, MESH-J108 if it cannot be told
 */
export async function detectProtocol(target: DetectionTarget): Promise<Result<Detected>> {
  const { local, host, port } = target;
  const deadline = AbortSignal.timeout(local ? (target.wanted === null ? UNKNOWN_MS : WANTED_MS) : REMOTE_MS);
  if (port === 5432 || /\bpostgres/.test(target.command)) {
    const postgres = await askPostgres(target, deadline);
    if (postgres !== null) return ok(postgres);
  }
  const patienceMs = local ? LOCAL_PATIENCE_MS : REMOTE_PATIENCE_MS;
  const first = ask(target, HTTP1_PROBE, deadline);
  const early = await Promise.race([first, pause(patienceMs)]);
  if (early?.refused) return fail(nothingListens(host, port, early.error));
  const verdict = early === null ? null : await judge(target, early.bytes);
  if (verdict !== null) return ok(verdict);
  // Whoever answers first in its own tongue is believed; the slow answer to the first question counts as well.
  const found = await firstOf([
    askTls(target, deadline),
    askHttp2(target, deadline),
    askPostgres(target, deadline),
    ...(early === null ? [first.then((late) => judge(target, late.bytes))] : []),
  ]);
  if (found !== null) return ok(found);
  return fail(
    problem('MESH-J108', {
      message: `${host}:${port} accepts connections, and answers neither HTTP nor gRPC nor TLS`,
      hint: 'say what it speaks: `--protocol tcp` (or http, http2, grpc)',
    }),
  );
}

/** From the first bytes that a server sent, greeting or answer; null: they say nothing. */
async function judge(target: DetectionTarget, bytes: Buffer): Promise<Detected | null> {
  if (bytes.length === 0) return null;
  if (isSettings(bytes)) return speaksHttp2(target, null);
  const text = bytes.toString('latin1');
  if (text.startsWith('HTTP/')) {
    if (text.startsWith('HTTP/2')) return null;
    const refused = /^HTTP\/1\.\d 4\d\d/.test(text);
    if (refused && WANTS_TLS.test(text)) return askTls(target, AbortSignal.timeout(NEXT_MS));
    return { protocol: 'http', protocolFrom: text.slice(0, 8), tls: false };
  }
  // A TLS alert: record type 21, version 3.x.
  if (bytes[0] === 0x15 && bytes[1] === 0x03) return askTls(target, AbortSignal.timeout(NEXT_MS));
  return { protocol: 'tcp', protocolFrom: greetingOf(text), tls: false };
}

/** Names the greetings and refusals of a few well-known servers. */
function greetingOf(text: string): string {
  if (/^220[ -].*(smtp|mail)/i.test(text)) return 'raw TCP (SMTP)';
  if (/^220[ -].*ftp/i.test(text)) return 'raw TCP (FTP)';
  if (text.startsWith('SSH-')) return 'raw TCP (SSH)';
  if (/^-(ERR|NOAUTH|DENIED)/.test(text)) return 'raw TCP (Redis)';
  if (text.startsWith('* OK')) return 'raw TCP (IMAP)';
  if (text.startsWith('+OK')) return 'raw TCP (POP3)';
  // Handshake packet: length, sequence 0, protocol version 10.
  if (text.charCodeAt(3) === 0 && text.charCodeAt(4) === 10) return 'raw TCP (MySQL)';
  return 'raw TCP';
}

/** A SETTINGS frame on stream 0, which every HTTP/2 server sends first. */
const isSettings = (bytes: Buffer): boolean =>
  bytes.length >= 9 && bytes[3] === 0x04 && bytes.readUInt32BE(5) === 0 && bytes.readUIntBE(0, 3) % 6 === 0;

async function askPostgres(target: DetectionTarget, deadline: AbortSignal): Promise<Detected | null> {
  const { bytes } = await ask(target, POSTGRES_PROBE, deadline);
  const answer = bytes.toString('latin1');
  if (answer !== 'N' && answer !== 'S') return null;
  return { protocol: 'tcp', protocolFrom: 'raw TCP (PostgreSQL)', tls: false };
}

async function askHttp2(target: DetectionTarget, deadline: AbortSignal): Promise<Detected | null> {
  const { bytes } = await ask(target, HTTP2_PROBE, deadline);
  return isSettings(bytes) ? speaksHttp2(target, null) : null;
}

async function askTls(target: DetectionTarget, deadline: AbortSignal): Promise<Detected | null> {
  const { host, port } = target;
  const socket = tls.connect({
    host,
    port,
    ALPNProtocols: ['h2', 'http/1.1'],
    servername: net.isIP(host) ? 'localhost' : host,
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
  const shaken = await settled(socket, 'secureConnect', deadline);
  if (!shaken) return null;
  if (socket.alpnProtocol === 'h2') {
    const http2 = await speaksHttp2(target, socket);
    return { ...http2, protocolFrom: `TLS, then ${http2.protocolFrom}`, tls: true };
  }
  const { bytes } = await converse(socket, HTTP1_PROBE, AbortSignal.timeout(NEXT_MS));
  if (socket.alpnProtocol === 'http/1.1' || bytes.toString('latin1').startsWith('HTTP/1'))
    return { protocol: 'http', protocolFrom: 'TLS, then HTTP/1.1', tls: true };
  // Passed on as it is: both ends speak TLS through the mesh.
  return { protocol: 'tcp', protocolFrom: 'TLS, passed on as raw TCP', tls: false };
}

/** HTTP/2 for certain: gRPC, or any other. @param over the TLS connection to use; null: plain text */
async function speaksHttp2({ host, port }: DetectionTarget, over: tls.TLSSocket | null): Promise<Detected> {
  const http2 = await import('node:http2');
  const authority = `${over === null ? 'http' : 'https'}://${net.isIPv6(host) ? `[${host}]` : host}:${port}`;
  const session = http2.connect(authority, over === null ? {} : { createConnection: () => over });
  const answer = await grpcHealth(session);
  session.destroy();
  const protocolFrom = over === null ? 'HTTP/2 without TLS' : 'HTTP/2';
  if (answer === null || !String(answer['content-type'] ?? '').startsWith('application/grpc'))
    return { protocol: 'http2', protocolFrom, tls: false };
  // UNIMPLEMENTED: a gRPC server without the health service.
  const health = answer['grpc-status'] !== '12';
  return { protocol: 'grpc', protocolFrom: health ? 'gRPC (health)' : 'gRPC (no health service)', tls: false };
}

/** Head of the answer to `grpc.health.v1.Health/Check`, which every gRPC server answers in gRPC's way. */
function grpcHealth(session: ClientHttp2Session): Promise<IncomingHttpHeaders | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(null), GRPC_MS);
    const finish = (headers: IncomingHttpHeaders | null): void => {
      clearTimeout(timer);
      resolve(headers);
    };
    session.on('error', () => finish(null));
    session.on('close', () => finish(null));
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': 'mesh-probe',
    });
    stream.on('error', () => finish(null));
    stream.on('response', (headers) => finish(headers));
    // A gRPC frame with an empty message: the whole server.
    stream.end(Buffer.alloc(5));
  });
}

interface Answer {
  bytes: Buffer;
  /** No connection came about. */
  refused: boolean;
  error: string;
}

/** A connection of its own, what is sent on it, and the first bytes that come back before it closes or time is up. */
async function ask({ host, port }: DetectionTarget, question: string | Buffer, deadline: AbortSignal): Promise<Answer> {
  const socket = net.connect({ host, port });
  let error = '';
  socket.on('error', (cause: NodeJS.ErrnoException) => {
    error = cause.code ?? cause.message;
  });
  if (!(await settled(socket, 'connect', deadline)))
    return { bytes: Buffer.alloc(0), refused: true, error: error === '' ? 'no answer' : error };
  return converse(socket, question, deadline);
}

function converse(socket: net.Socket, question: string | Buffer, deadline: AbortSignal): Promise<Answer> {
  return new Promise((resolve) => {
    const finish = (bytes: Buffer): void => {
      deadline.removeEventListener('abort', onAbort);
      resolve({ bytes, refused: false, error: '' });
      // In good order where it can be: a reset is an error event in the server.
      socket.resume().end();
      setTimeout(() => socket.destroy(), 500).unref();
    };
    const onAbort = (): void => finish(Buffer.alloc(0));
    deadline.addEventListener('abort', onAbort, { once: true });
    if (deadline.aborted) onAbort();
    socket.once('data', finish);
    socket.once('close', onAbort);
    socket.once('end', onAbort);
    socket.write(question);
  });
}

/** Whether the event came before an error, the end or the deadline; if not, the socket is gone. */
function settled(socket: net.Socket, event: 'connect' | 'secureConnect', deadline: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (came: boolean): void => {
      deadline.removeEventListener('abort', onAbort);
      if (!came) socket.destroy();
      resolve(came);
    };
    const onAbort = (): void => finish(false);
    deadline.addEventListener('abort', onAbort, { once: true });
    socket.on('error', () => finish(false));
    socket.once('close', () => finish(false));
    socket.once(event, () => finish(true));
    if (deadline.aborted) onAbort();
  });
}

/** The first that is not null; null once all are. */
function firstOf<T>(promises: readonly Promise<T | null>[]): Promise<T | null> {
  return new Promise((resolve) => {
    let left = promises.length;
    for (const promise of promises)
      void promise.then((value) => {
        left--;
        if (value !== null || left === 0) resolve(value);
      });
  });
}

const pause = (ms: number): Promise<null> => new Promise((resolve) => setTimeout(() => resolve(null), ms));

function nothingListens(host: string, port: number, error: string) {
  const why = error === 'ECONNREFUSED' ? '' : ` (${error})`;
  return problem('MESH-J101', {
    message: `nothing listens on ${host}:${port}${why}`,
    hint: 'start it first, or let mesh do it: `mesh inject --as NAME -- COMMAND`',
  });
}
