import http2 from 'node:http2';
import net from 'node:net';
import type { Readable } from 'node:stream';
import { httpApp, listenOn, type TestApp } from '../test/support/traffic.ts';

/** How the echoing applications answer; the path decides, so that an input always gets the same answer. */
const MODES = ['length', 'stream', 'trailers', 'early', 'late'] as const;
type Mode = (typeof MODES)[number];

export function modeOf(path: string): Mode {
  let hash = 7;
  for (let i = 0; i < path.length; i++) hash = (Math.imul(hash, 31) + path.charCodeAt(i)) >>> 0;
  return MODES[hash % MODES.length];
}

async function readAll(from: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of from) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What answers say about the request that they answer. */
const echo = (path: string, mode: Mode) => ({ 'x-echo-path': encodeURIComponent(path), 'x-echo-mode': mode });

/** An HTTP/1.1 application whose every response names its request and has the request's content. */
export function echoApp(): Promise<TestApp> {
  return httpApp((request, reply) => {
    const path = request.url ?? '';
    const mode = modeOf(path);
    request.on('error', () => {});
    const answer = async () => {
      if (mode === 'early') {
        reply.writeHead(200, echo(path, mode)).end('early');
        return;
      }
      if (mode === 'stream') {
        reply.writeHead(200, echo(path, mode));
        request.pipe(reply);
        return;
      }
      const body = await readAll(request);
      if (mode === 'late') await pause(3);
      if (mode === 'trailers') {
        reply.writeHead(200, { ...echo(path, mode), trailer: 'x-end' });
        reply.write(body);
        reply.addTrailers({ 'x-end': 'yes' });
        reply.end();
      } else reply.writeHead(200, { ...echo(path, mode), 'content-length': body.length }).end(body);
    };
    answer().catch(() => reply.destroy());
  });
}

/** The same over HTTP/2 without TLS. */
export function echoApp2(): Promise<TestApp> {
  const server = http2.createServer((request, reply) => {
    const path = request.url;
    const mode = modeOf(path);
    request.on('error', () => {});
    reply.on('error', () => {});
    const answer = async () => {
      if (mode === 'early') {
        reply.writeHead(200, echo(path, mode)).end('early');
        return;
      }
      const body = await readAll(request);
      if (mode === 'late') await pause(3);
      if (reply.stream === undefined || reply.stream.destroyed) return;
      reply.writeHead(200, echo(path, mode));
      if (mode === 'trailers') reply.addTrailers({ 'x-end': 'yes' });
      reply.end(body);
    };
    answer().catch(() => request.stream?.close());
  });
  server.on('sessionError', () => {});
  return listenOn(server as unknown as net.Server);
}

/** An application that answers with bytes that it is given, whatever they are. */
export interface ScriptedApp extends TestApp {
  /** What the next connection gets after its first bytes, in pieces a turn apart; then it is closed, or left open. */
  next(pieces: readonly Buffer[], close: boolean): void;
  /** Nobody came for some of them. */
  forget(): void;
}

export async function scriptedApp(): Promise<ScriptedApp> {
  const scripts: { pieces: readonly Buffer[]; close: boolean }[] = [];
  const app = await listenOn(
    net.createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => {
        const script = scripts.shift();
        if (script === undefined) return;
        const play = async () => {
          for (const piece of script.pieces) {
            if (socket.destroyed) return;
            socket.write(piece);
            await new Promise((resolve) => setImmediate(resolve));
          }
          if (script.close) socket.end();
        };
        void play();
      });
    }),
  );
  return {
    ...app,
    next: (pieces, close) => void scripts.push({ pieces, close }),
    forget: () => void scripts.splice(0),
  };
}
