import http from 'node:http';
import http2 from 'node:http2';
import { setTimeout as delay } from 'node:timers/promises';

export interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

/** One request over a connection of its own. */
export function get(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  agent?: http.Agent,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path, headers, agent: agent ?? false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }));
      response.on('error', reject);
      response.on('aborted', () => reject(new Error('aborted')));
    });
    request.on('error', reject);
  });
}

export async function getJson<T>(port: number, path: string, headers?: Record<string, string>): Promise<T> {
  const reply = await get(port, path, headers);
  if (reply.status !== 200) throw new Error(`${path}: ${reply.status} ${reply.body}`);
  return JSON.parse(reply.body) as T;
}

export interface Target {
  path: string;
  /** That must have answered. */
  service: string;
  /** Further condition on the answer; the text says what is wrong with it. */
  check?: (answer: { service: string; version: string; instance: string }, reply: Reply) => string | null;
}

export interface LoadOptions {
  /** Asked before each new connection. */
  port: number | (() => number);
  targets: readonly Target[];
  /** Clients with a keep-alive connection each. */
  http1?: number;
  /** Clients with an HTTP/2 connection each, with several streams at a time. */
  http2?: number;
}

export interface Failure {
  client: string;
  path: string;
  /** Milliseconds after the load began. */
  beganMs: number;
  endedMs: number;
  what: string;
}

export interface LoadResult {
  requests: number;
  failures: Failure[];
  /** Longest time a request took. */
  slowestMs: number;
}

export interface Load {
  readonly requests: number;
  readonly failures: readonly Failure[];
  /** Milliseconds since it began. */
  now(): number;
  /** Resolves when so many further requests have succeeded. */
  progress(requests?: number): Promise<void>;
  stop(): Promise<LoadResult>;
}

const STREAMS = 3;
/** Between two requests of a client: the machine has to do other things as well. */
const PAUSE_MS = 12;

/** Requests without a pause, each answer checked, until stopped. */
export function startLoad(options: LoadOptions): Load {
  const beganMs = performance.now();
  const failures: Failure[] = [];
  let requests = 0;
  let slowestMs = 0;
  let stopped = false;
  let turn = 0;
  const port = typeof options.port === 'number' ? () => options.port as number : options.port;
  const now = (): number => Math.round(performance.now() - beganMs);

  const one = async (client: string, send: (path: string) => Promise<Reply>): Promise<void> => {
    const target = options.targets[turn++ % options.targets.length];
    const startMs = performance.now();
    let what: string | null = null;
    try {
      const reply = await send(target.path);
      what = judge(target, reply);
    } catch (error) {
      what = (error as Error).message || (error as NodeJS.ErrnoException).code || 'failed';
    }
    const endMs = performance.now();
    slowestMs = Math.max(slowestMs, endMs - startMs);
    requests++;
    if (what !== null) {
      failures.push({
        client,
        path: target.path,
        beganMs: Math.round(startMs - beganMs),
        endedMs: Math.round(endMs - beganMs),
        what,
      });
      await delay(20);
    }
    await delay(PAUSE_MS);
  };

  const http1Client = async (name: string): Promise<void> => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    while (!stopped) await one(name, (path) => get(port(), path, {}, agent));
    agent.destroy();
  };

  const http2Client = async (name: string): Promise<void> => {
    let session: http2.ClientHttp2Session | null = null;
    let sessionPort = 0;
    let leaving = 0;
    const open: http2.ClientHttp2Session[] = [];
    const connected = (): http2.ClientHttp2Session => {
      if (session === null || session.closed || session.destroyed || sessionPort !== port()) {
        session?.close();
        sessionPort = port();
        const fresh = http2.connect(`http://127.0.0.1:${sessionPort}`);
        fresh.on('error', () => {});
        // What it carries may end; new requests go elsewhere.
        fresh.on('goaway', () => {
          leaving++;
          if (session === fresh) session = null;
        });
        open.push(fresh);
        session = fresh;
      }
      return session;
    };
    const loop = async (): Promise<void> => {
      while (!stopped)
        await one(name, (path) =>
          http2Get(connected(), path).catch((error: Error) => {
            // Node cancels like this what it has not sent yet when GOAWAY arrives: any client sends it again.
            if (!error.message.includes('NGHTTP2_REFUSED_STREAM') || leaving === 0) throw error;
            return http2Get(connected(), path);
          }),
        );
    };
    await Promise.all(Array.from({ length: STREAMS }, loop));
    for (const each of open) each.close();
  };

  const clients = [
    ...Array.from({ length: options.http1 ?? 3 }, (_, i) => http1Client(`h1-${i + 1}`)),
    ...Array.from({ length: options.http2 ?? 1 }, (_, i) => http2Client(`h2-${i + 1}`)),
  ];
  return {
    get requests() {
      return requests;
    },
    failures,
    now,
    async progress(more = 30) {
      const wanted = requests - failures.length + more;
      const deadline = performance.now() + 15_000;
      while (requests - failures.length < wanted) {
        if (performance.now() > deadline)
          throw new Error(`only ${requests} requests, failed: ${JSON.stringify(failures.slice(-5))}`);
        await delay(5);
      }
    },
    async stop() {
      stopped = true;
      await Promise.all(clients);
      return { requests, failures, slowestMs };
    },
  };
}

function judge(target: Target, reply: Reply): string | null {
  if (reply.status !== 200) return `status ${reply.status}: ${reply.body.slice(0, 200)}`;
  let answer: { service: string; version: string; instance: string };
  try {
    answer = JSON.parse(reply.body);
  } catch {
    return `not JSON: ${reply.body.slice(0, 200)}`;
  }
  if (answer.service !== target.service) return `misrouted to ${answer.service}`;
  return target.check?.(answer, reply) ?? null;
}

function http2Get(session: http2.ClientHttp2Session, path: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': path });
    let head: http2.IncomingHttpHeaders | null = null;
    let body = '';
    stream.setEncoding('utf8');
    stream.on('response', (headers) => {
      head = headers;
    });
    stream.on('data', (text: string) => {
      body += text;
    });
    stream.on('error', reject);
    stream.on('close', () => {
      if (head === null) reject(new Error(`stream closed without a response (code ${stream.rstCode})`));
      else if (stream.rstCode !== 0) reject(new Error(`stream reset with code ${stream.rstCode}`));
      else resolve({ status: Number(head[':status']), headers: head as Reply['headers'], body });
    });
  });
}
