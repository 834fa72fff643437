import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { CertificateAuthority } from '../../src/runtime/identity/certificate-authority.ts';
import { bindSocket } from '../../src/runtime/network/bound-socket.ts';
import type { BackendPorts } from '../support/backend-node.ts';
import { bodyOf } from '../support/body.ts';
import { issue, type MeasuredMesh, startMeasuredMesh } from '../support/data-plane.ts';
import type { PeerOptions, PeerPorts } from '../support/peer-node.ts';
import { type Cores, installed, start, untilListening } from '../support/processes.ts';
import { type AppPorts, type CredentialFiles, haproxyTwoHops, nginxBackend, nginxTwoHops } from './configurations.ts';

/** Programs of the bench, bundled. */
export interface Programs {
  dataPlane: string;
  peer: string;
  backend: string;
  constantRate: string;
  idle: string;
  bareSockets: string;
  memoryProbe: string;
}

/** Everything that all measurements share. */
export interface Bed {
  readonly dir: string;
  readonly cores: Cores;
  readonly programs: Programs;
  readonly authority: CertificateAuthority;
  readonly files: CredentialFiles;
  readonly app: AppPorts;
  /** The backend without any proxy. */
  readonly direct: System;
}

/** One way from the client to the backend. */
export interface System {
  readonly name: string;
  /** The process that carries all its hops. */
  readonly pid: number;
  /** Ports for HTTP/1.1, HTTP/2 without TLS, uploads, and the mutual TLS of the second hop; null: it has none. */
  readonly h1: number | null;
  readonly h2: number | null;
  readonly upload: number | null;
  readonly inbound: number | null;
  stop(): Promise<unknown>;
}

/** 78 bytes. */
export const JSON_BODY = '{"id":"order-123","status":"PENDING","total":{"amount":1200,"currency":"USD"}}';
export const KILOBYTE = '/files/1k';
export const BODY_64K = '/files/64k';
export const BODY_100M = '/files/100m';
export const BODY_BYTES: Record<string, number> = { [KILOBYTE]: 1 << 10, [BODY_64K]: 64 << 10, [BODY_100M]: 100 << 20 };

export async function startBackend(
  dir: string,
  programs: Pick<Programs, 'backend'>,
  cores: Cores,
): Promise<{ app: AppPorts; direct: System }> {
  const own = path.join(dir, 'backend');
  const files = path.join(own, 'www/files');
  await mkdir(files, { recursive: true });
  for (const [url, bytes] of Object.entries(BODY_BYTES))
    await writeFile(path.join(files, path.basename(url)), bodyOf(bytes));
  const node = start(cores.load, process.execPath, [programs.backend, JSON_BODY, files]);
  const ports = JSON.parse(await node.firstLine) as BackendPorts;
  const direct = { name: 'direct', upload: ports.sink, inbound: null };
  if (!installed('nginx')) {
    return { app: ports, direct: { ...direct, pid: node.pid, h1: ports.h1, h2: ports.h2, stop: node.stop } };
  }
  const [h1, h2] = freePorts(2);
  const config = path.join(own, 'nginx.conf');
  await writeFile(config, nginxBackend(own, { h1, h2 }, JSON_BODY));
  const nginx = start(cores.load, 'nginx', ['-c', config]);
  await untilListening(h1, nginx);
  await untilListening(h2, nginx);
  return {
    app: { h1, h2, sink: ports.sink },
    direct: {
      ...direct,
      pid: nginx.pid,
      h1,
      h2,
      async stop() {
        await nginx.stop();
        await node.stop();
      },
    },
  };
}

export async function writeCredentials(dir: string, authority: CertificateAuthority): Promise<CredentialFiles> {
  const write = async (name: string, text: string) => {
    const file = path.join(dir, name);
    await writeFile(file, text, { mode: 0o600 });
    return file;
  };
  const client = issue(authority, 'client');
  const server = issue(authority, 'one');
  return {
    ca: await write('ca.crt', authority.trustAnchors.join('')),
    clientCert: await write('client.crt', client.certificate),
    clientKey: await write('client.key', client.privateKey),
    clientPem: await write('client.pem', client.certificate + client.privateKey),
    serverCert: await write('server.crt', server.certificate),
    serverKey: await write('server.key', server.privateKey),
    serverPem: await write('server.pem', server.certificate + server.privateKey),
  };
}

/** The services of the measured mesh: HTTP/1.1, HTTP/2 and uploads. */
export function meshServices(app: AppPorts): Parameters<MeasuredMesh['apply']>[0] {
  return { one: { port: app.h1 }, two: { port: app.h2, protocol: 'http2' }, sink: { port: app.sink } };
}

export async function startMesh(bed: Bed, env: Record<string, string> = {}): Promise<System & { mesh: MeasuredMesh }> {
  const mesh = await startMeasuredMesh(
    bed.programs.dataPlane,
    bed.authority,
    bed.cores.proxy,
    meshServices(bed.app),
    env,
  );
  return {
    name: 'mesh',
    pid: mesh.pid,
    h1: mesh.dependency('one'),
    h2: mesh.dependency('two'),
    upload: mesh.dependency('sink'),
    inbound: mesh.inbound('one'),
    stop: mesh.stop,
    mesh,
  };
}

/** Null: it is not installed. */
export async function startHaproxy({ dir, app, files, cores }: Bed): Promise<System | null> {
  if (!installed('haproxy')) return null;
  const [h1, h2, inbound1, inbound2] = freePorts(4);
  const config = path.join(dir, 'haproxy.cfg');
  await writeFile(config, haproxyTwoHops(app, { h1, h2, inbound1, inbound2 }, files));
  const running = start(cores.proxy, 'haproxy', ['-db', '-f', config]);
  for (const port of [h1, h2, inbound1, inbound2]) await untilListening(port, running);
  return { name: 'haproxy', pid: running.pid, h1, h2, upload: h1, inbound: inbound1, stop: running.stop };
}

/** Null: it is not installed. */
export async function startNginx({ dir, app, files, cores }: Bed): Promise<System | null> {
  if (!installed('nginx')) return null;
  const [front, inbound] = freePorts(2);
  const own = path.join(dir, 'nginx');
  await mkdir(own);
  const config = path.join(own, 'nginx.conf');
  await writeFile(config, nginxTwoHops(own, app, { front, inbound }, files));
  const running = start(cores.proxy, 'nginx', ['-c', config]);
  for (const port of [front, inbound]) await untilListening(port, running);
  return { name: 'nginx', pid: running.pid, h1: front, h2: null, upload: front, inbound, stop: running.stop };
}

export async function startNode(bed: Bed): Promise<System> {
  const { running, ports } = await startPeer(bed, {
    kind: 'two-hop',
    app: bed.app.h1,
    sink: bed.app.sink,
    credentials: bed.files,
  });
  return {
    name: 'node:http + node:https',
    pid: running.pid,
    h1: ports.front,
    h2: null,
    upload: ports.front,
    inbound: ports.inbound,
    stop: running.stop,
  };
}

export async function startNodeHttp2(bed: Bed): Promise<System> {
  const { running, ports } = await startPeer(bed, { kind: 'http2', app: bed.app.h2, sink: 0, credentials: null });
  return {
    name: 'node:http2',
    pid: running.pid,
    h1: null,
    h2: ports.front,
    upload: null,
    inbound: null,
    stop: running.stop,
  };
}

async function startPeer({ cores, programs }: Bed, options: PeerOptions) {
  const env = { NODE_ENV: 'production' };
  const running = start(cores.proxy, process.execPath, [programs.peer, JSON.stringify(options)], env);
  return { running, ports: JSON.parse(await running.firstLine) as PeerPorts };
}

/** All bound at the same time, so that they differ; the programs bind them again. */
function freePorts(count: number): number[] {
  const sockets = Array.from({ length: count }, () => {
    const bound = bindSocket(0);
    if (!bound.ok) throw new Error(`no free port: ${bound.error}`);
    return bound.socket;
  });
  for (const socket of sockets) socket.close();
  return sockets.map((socket) => socket.port);
}
