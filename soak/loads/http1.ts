import http from 'node:http';
import net from 'node:net';
import type { Random } from '../../fuzz/random.ts';
import type { Ending, Load, LoadClient, Ports } from '../load.ts';
import { patternChecker, patternChunks } from '../pattern.ts';

let ids = 0;
const newId = (): string => `${process.pid}-${++ids}`;

interface Ask {
  port: number;
  path: string;
  method: string;
  agent: http.Agent;
  headers?: Record<string, string>;
  /** Written piece by piece. */
  body: Iterable<Buffer>;
  onData: (chunk: Buffer) => void;
  /** Go away after so many milliseconds. */
  abortAfterMs: number | null;
  /** Reads at most so many bytes every 5 ms. */
  slowBytes?: number;
}

function ask({ port, path, method, agent, headers, body, onData, abortAfterMs, slowBytes }: Ask): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const id = newId();
    let aborted = false;
    const request = http.request({
      host: '127.0.0.1',
      port,
      path,
      method,
      agent,
      headers: { host: 'web', 'x-id': id, ...headers },
    });
    const timer = abortAfterMs === null ? undefined : setTimeout(abort, abortAfterMs);
    function abort(): void {
      aborted = true;
      request.destroy();
      resolve('aborted');
    }
    const fail = (reason: string) => {
      clearTimeout(timer);
      if (!aborted) reject(new Error(reason));
      request.destroy();
    };
    request.on('error', (error: NodeJS.ErrnoException) => fail(`request: ${error.code ?? error.message}`));
    request.on('response', (response) => {
      const { statusCode } = response;
      if (statusCode !== 200) fail(`status ${statusCode} ${response.headers['x-mesh-response-flags'] ?? ''}`);
      else if (response.headers['x-id'] !== id) fail('the answer to another request');
      response.on('data', (chunk: Buffer) => {
        if (aborted) return;
        try {
          onData(chunk);
        } catch (error) {
          fail((error as Error).message);
        }
        if (slowBytes !== undefined) {
          response.pause();
          setTimeout(() => response.resume(), (chunk.length / slowBytes) * 5);
        }
      });
      response.on('error', (error: NodeJS.ErrnoException) => fail(`response: ${error.code ?? error.message}`));
      response.on('end', () => {
        clearTimeout(timer);
        resolve('done');
      });
    });
    const chunks = body[Symbol.iterator]();
    const write = (): void => {
      for (let next = chunks.next(); !next.done; next = chunks.next()) {
        if (!request.write(next.value)) return void request.once('drain', write);
      }
      request.end();
    };
    write();
  });
}

function echoClient(port: number, random: Random): LoadClient {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  return {
    async once() {
      const body = random.bytes(random.below(random.chance(20) ? 40_000 : 400));
      const got: Buffer[] = [];
      const pieces = random.chance(50) ? [body] : [body.subarray(0, body.length >> 1), body.subarray(body.length >> 1)];
      const headers: Record<string, string> = random.chance(50) ? { 'content-length': String(body.length) } : {};
      const abortAfterMs = random.chance(4) ? random.below(8) : null;
      const ending = await ask({
        port,
        path: '/echo',
        method: 'POST',
        agent,
        headers,
        body: pieces,
        onData: (chunk) => got.push(chunk),
        abortAfterMs,
      });
      if (ending === 'done' && !Buffer.concat(got).equals(body)) throw new Error('wrong content');
      return ending;
    },
    close: () => agent.destroy(),
  };
}

/** Bodies of megabytes, there and back; some clients read slowly, some go away in the middle. */
function largeClient(ports: Ports, random: Random): LoadClient {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  return {
    async once() {
      const bytes = 500_000 + random.below(4_000_000);
      const up = random.chance(50);
      const check = patternChecker();
      let got = 0;
      const ending = await ask({
        port: random.chance(50) ? ports.web : ports.gateway,
        path: up ? '/echo' : `/big?bytes=${bytes}`,
        method: up ? 'POST' : 'GET',
        agent,
        body: up ? patternChunks(bytes) : [],
        headers: up ? { 'content-length': String(bytes) } : {},
        onData(chunk) {
          got += chunk.length;
          if (!check(chunk)) throw new Error('wrong content');
        },
        abortAfterMs: random.chance(15) ? random.below(200) : null,
        slowBytes: random.chance(30) ? 20_000 + random.below(40_000) : undefined,
      });
      if (ending === 'done' && got !== bytes) throw new Error('content is missing');
      return ending;
    },
    close: () => agent.destroy(),
  };
}

/** Several requests in one write; the answers have to come in their order. */
function pipelineClient(port: number, random: Random): LoadClient {
  return {
    once: () =>
      new Promise((resolve, reject) => {
        const socket = net.connect(port, '127.0.0.1');
        const sent = Array.from({ length: 2 + random.below(6) }, () => ({
          id: newId(),
          body: 'p'.repeat(random.below(300)),
        }));
        const leaves = random.chance(5);
        const text = sent.map(
          ({ id, body }) =>
            `POST /echo HTTP/1.1\r\nHost: web\r\nX-Id: ${id}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        );
        let got = '';
        const end = (error: Error | null, ending: Ending = 'done') => {
          socket.removeAllListeners('close');
          socket.destroy();
          if (error === null) resolve(ending);
          else reject(error);
        };
        socket.on('error', (error: NodeJS.ErrnoException) => end(new Error(`request: ${error.code}`)));
        socket.on('close', () => end(new Error('closed before all answers')));
        socket.on('connect', () => {
          socket.write(text.join(''));
          if (leaves) setTimeout(() => end(null, 'aborted'), random.below(4));
        });
        socket.on('data', (chunk: Buffer) => {
          got += chunk.toString('latin1');
          for (let at = got.indexOf('\r\n\r\n'); at >= 0 && sent.length > 0; at = got.indexOf('\r\n\r\n')) {
            const length = Number(/content-length: (\d+)/i.exec(got.slice(0, at))?.[1]);
            if (got.length < at + 4 + length) return;
            const { id, body } = sent.shift()!;
            const status = got.slice(9, 12);
            if (status !== '200') return end(new Error(`status ${status}`));
            if (!got.slice(0, at).toLowerCase().includes(`x-id: ${id}\r\n`))
              return end(new Error('the answer to another request'));
            if (got.slice(at + 4, at + 4 + length) !== body) return end(new Error('wrong content'));
            got = got.slice(at + 4 + length);
          }
          if (sent.length === 0) end(got === '' ? null : new Error('more than was asked for'));
        });
      }),
    close() {},
  };
}

/** CONNECT to a service of the mesh, and a request through the tunnel. */
function connectClient(ports: Ports, random: Random): LoadClient {
  return {
    once: () =>
      new Promise((resolve, reject) => {
        const id = newId();
        const body = 'c'.repeat(random.below(2_000));
        const request = http.request({
          host: '127.0.0.1',
          port: ports.outbound,
          method: 'CONNECT',
          path: 'web:80',
          agent: false,
        });
        request.on('error', (error: NodeJS.ErrnoException) =>
          reject(new Error(`tunnel: ${error.code ?? error.message}`)),
        );
        request.on('response', (response) => reject(new Error(`tunnel: status ${response.statusCode}`)));
        request.on('connect', (response, socket) => {
          if (response.statusCode !== 200) return reject(new Error(`tunnel: status ${response.statusCode}`));
          const agent = new http.Agent({ keepAlive: true });
          agent.createConnection = () => socket;
          const got: Buffer[] = [];
          const inner = http.request({
            agent,
            host: 'web',
            method: 'POST',
            path: '/echo',
            headers: { host: 'web', 'x-id': id, 'content-length': body.length },
          });
          const end = (error: Error | null, ending: Ending = 'done') => {
            socket.destroy();
            if (error === null) resolve(ending);
            else reject(error);
          };
          if (random.chance(5)) {
            inner.on('error', () => {});
            setTimeout(() => end(null, 'aborted'), random.below(5));
          } else
            inner.on('error', (error: NodeJS.ErrnoException) =>
              end(new Error(`request: ${error.code ?? error.message}`)),
            );
          inner.on('response', (answer) => {
            answer.on('data', (chunk: Buffer) => got.push(chunk));
            answer.on('error', () => {});
            answer.on('end', () => {
              if (answer.statusCode !== 200) return end(new Error(`status ${answer.statusCode}`));
              end(
                answer.headers['x-id'] === id && Buffer.concat(got).toString() === body
                  ? null
                  : new Error('the answer to another request'),
              );
            });
          });
          inner.end(body);
        });
        request.end();
      }),
    close() {},
  };
}

export const HTTP1_LOADS: readonly Load[] = [
  {
    name: 'HTTP/1.1 keep-alive',
    service: 'web',
    clients: 4,
    long: false,
    connect: (ports, random) => echoClient(ports.web, random),
  },
  {
    name: 'HTTP/1.1 gateway',
    service: 'web',
    clients: 3,
    long: false,
    connect: (ports, random) => echoClient(ports.gateway, random),
  },
  {
    name: 'HTTP/1.1 pipelined',
    service: 'web',
    clients: 2,
    long: false,
    connect: (ports, random) => pipelineClient(random.chance(50) ? ports.web : ports.gateway, random),
  },
  { name: 'CONNECT', service: 'web', clients: 2, long: false, connect: connectClient },
  { name: 'large bodies', service: 'web', clients: 3, long: false, connect: largeClient },
];
