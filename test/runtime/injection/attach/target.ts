import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as grpc from '@grpc/grpc-js';

/**
 * A program with a client of each kind, each with its pool: it calls what `/KIND?host=&port=` of it says and answers
 * with what it was told.
 */
const PROGRAM = `
const agent = new http.Agent({ keepAlive: true });
const bytes = (value) => Buffer.from(value);
const definition = { Say: { path: '/test.Name/Say', requestStream: false, responseStream: false, requestSerialize: bytes,
  requestDeserialize: String, responseSerialize: bytes, responseDeserialize: String } };
const GrpcClient = grpc.makeGenericClientConstructor(definition, 'Name');
const grpcClients = new Map();
const sessions = new Map();
const raw = new Map();
const calls = {
  http: (host, port) => new Promise((resolve, reject) => {
    http.get({ host, port, agent, path: '/' }, async (r) => { let t = ''; for await (const c of r) t += c; resolve(t) }).on('error', reject);
  }),
  slow: (host, port) => new Promise((resolve, reject) => {
    http.get({ host, port, agent, path: '/slow' }, async (r) => { let t = ''; for await (const c of r) t += c; resolve(t) }).on('error', reject);
  }),
  fetch: async (host, port) => (await fetch('http://' + host + ':' + port + '/')).text(),
  http2: (host, port) => new Promise((resolve, reject) => {
    const key = host + ':' + port;
    let session = sessions.get(key);
    if (session === undefined) {
      session = http2.connect('http://' + key);
      session.on('error', () => {}).on('close', () => sessions.delete(key));
      sessions.set(key, session);
    }
    const stream = session.request({ ':path': '/' });
    let text = '';
    stream.setEncoding('utf8').on('data', (t) => { text += t }).on('end', () => resolve(text)).on('error', reject);
  }),
  grpc: (host, port) => new Promise((resolve, reject) => {
    const key = host + ':' + port;
    let client = grpcClients.get(key);
    if (client === undefined) grpcClients.set(key, client = new GrpcClient(key, grpc.credentials.createInsecure()));
    client.Say('x', (error, text) => error ? reject(error) : resolve(text));
  }),
  net: (host, port) => new Promise((resolve, reject) => {
    const key = host + ':' + port;
    let socket = raw.get(key);
    if (socket === undefined) {
      raw.set(key, socket = net.connect(Number(port), host));
      socket.on('close', () => raw.delete(key));
    }
    socket.once('data', (t) => resolve(String(t))).once('error', reject);
    socket.write('name');
  }),
  pristine: async () => JSON.stringify({
    connect: net.Socket.prototype.connect.toString().length, lookup: dns.lookup.toString().length,
    promised: dns.promises.lookup.toString().length, symbols: Object.getOwnPropertySymbols(globalThis).map(String),
    names: Object.getOwnPropertyNames(globalThis).length, same: net.Socket.prototype.connect === connectBefore && dns.lookup === lookupBefore,
  }),
};
const connectBefore = net.Socket.prototype.connect;
const lookupBefore = dns.lookup;
const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://x');
  try {
    response.end(await calls[url.pathname.slice(1)](url.searchParams.get('host'), url.searchParams.get('port')));
  } catch (error) {
    response.statusCode = 500;
    response.end(String(error.cause ?? error));
  }
});
server.listen(0, '127.0.0.1', () => console.log('listens on ' + server.address().port));
`;
const MODULES = ['http', 'http2', 'net', 'dns'];
const CJS = `${MODULES.map((name) => `const ${name} = require('node:${name}');`).join('\n')}
const grpc = require('@grpc/grpc-js');
${PROGRAM}`;
const ESM = `${MODULES.map((name) => `import ${name} from 'node:${name}';`).join('\n')}
import * as grpc from '@grpc/grpc-js';
${PROGRAM}`;

type CallKind = 'http' | 'slow' | 'fetch' | 'http2' | 'grpc' | 'net' | 'pristine' | 'load' | 'rest' | 'outcome';

export interface Target {
  readonly pid: number;
  readonly child: ChildProcess;
  readonly appPort: number;
  stderr(): string;
  call(kind: CallKind, host: string, port: number | string): Promise<string>;
  end(): Promise<void>;
}

/** @param addition code after the program's own */
export async function startTarget(
  form: 'cjs' | 'esm',
  options: { addition?: string; nodeOptions?: string[] } = {},
): Promise<Target> {
  const dir = mkdtempSync(path.join(tmpdir(), 'mesh-attach-'));
  symlinkSync(path.resolve('node_modules'), path.join(dir, 'node_modules'));
  const file = path.join(dir, form === 'cjs' ? 'app.cjs' : 'app.mjs');
  writeFileSync(file, (form === 'cjs' ? CJS : ESM) + (options.addition ?? ''));
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(process.execPath, [...(options.nodeOptions ?? []), file], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  let stdout = '';
  const appPort = await new Promise<number>((resolve, reject) => {
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      const port = /listens on (\d+)/.exec(stdout);
      if (port !== null) resolve(Number(port[1]));
    });
    child.on('exit', (code, signal) => reject(new Error(`ended with ${code ?? signal}: ${stderr}`)));
  });
  return {
    pid: child.pid!,
    child,
    appPort,
    stderr: () => stderr,
    async call(kind, host, port) {
      // On a connection of its own: a kept one may be closed by the program while this one is about to use it.
      const answer = await fetch(`http://127.0.0.1:${appPort}/${kind}?host=${host}&port=${port}`, {
        headers: { connection: 'close' },
      });
      return answer.text();
    },
    async end() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** A server that says its name: HTTP/1.1, HTTP/2, gRPC or plain TCP, each on a port of its own. */
export interface NamedServer {
  readonly ports: { http: number; http2: number; grpc: number; net: number };
  /** Connections so far, by kind. */
  readonly connections: { http: number; http2: number; net: number };
  /** Answers what asked `/slow`. */
  answerSlow(): void;
  close(): Promise<void>;
}

export async function startNamed(name: string): Promise<NamedServer> {
  const connections = { http: 0, http2: 0, net: 0 };
  const slow = new Set<() => void>();
  const open = new Set<net.Socket>();
  const track = (kind: keyof typeof connections) => (socket: net.Socket) => {
    connections[kind]++;
    open.add(socket);
    socket.on('error', () => {}).on('close', () => open.delete(socket));
  };
  const plain = http.createServer((request, response) => {
    if (request.url === '/slow') slow.add(() => response.end(name));
    else response.end(name);
  });
  plain.keepAliveTimeout = 60_000;
  plain.on('connection', track('http'));
  const two = http2.createServer((_, response) => response.end(name));
  two.on('connection', track('http2'));
  const tcp = net.createServer((socket) => socket.on('data', () => socket.write(name)));
  tcp.on('connection', track('net'));
  const servers = [plain, two, tcp] as net.Server[];
  for (const server of servers) await once(server.listen(0, '127.0.0.1'), 'listening');
  const bytes = (value: string): Buffer => Buffer.from(value);
  const rpc = new grpc.Server();
  rpc.addService(
    {
      Say: {
        path: '/test.Name/Say',
        requestStream: false,
        responseStream: false,
        requestSerialize: bytes,
        requestDeserialize: String,
        responseSerialize: bytes,
        responseDeserialize: String,
      },
    },
    { Say: (_: unknown, done: (error: null, text: string) => void) => done(null, name) },
  );
  const rpcPort = await new Promise<number>((resolve, reject) =>
    rpc.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    ),
  );
  const [httpPort, http2Port, netPort] = servers.map((server) => (server.address() as AddressInfo).port);
  return {
    ports: { http: httpPort, http2: http2Port, grpc: rpcPort, net: netPort },
    connections,
    answerSlow: () => {
      for (const answer of slow) answer();
      slow.clear();
    },
    async close() {
      rpc.forceShutdown();
      for (const socket of open) socket.destroy();
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}
