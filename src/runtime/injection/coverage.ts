import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import tls from 'node:tls';
import type { Coverage } from '../../model/injection.ts';
import { checkServerIdentity, linkContextOptions } from '../../proxy/peer-identity.ts';
import { RESPONSE_FLAGS_HEADER } from '../../proxy/response-flags.ts';
import type { Svid } from '../identity/certificate-authority.ts';
import { commandOf } from '../state/process-table.ts';
import { isLocal } from './checks.ts';
import type { Injected } from './injected.ts';

const PROBE_MS = 1_500;

/** A request of its own through the inbound proxy, as any caller in the mesh would send it: mutual TLS and all. */
export async function inboundCoverage(
  injected: Injected,
  svid: Svid,
  trust: { anchors: readonly string[]; trustDomain: string },
): Promise<Coverage> {
  const { host, port, ports, service } = injected;
  const { failure, status } = await probeInbound(injected, svid, trust);
  const way = `${shown(host)}:${port} via :${ports.inbound}, mutual TLS${injected.tls ? ', then TLS' : ''}`;
  if (failure === null) {
    // Development servers take only names that they know: the proxy passes on that of the service.
    const doubt = status === 403 || status === 421 ? `; it answers ${status}: does it allow the host ${service}?` : '';
    return { direction: 'inbound', subject: '', covered: true, detail: `${way}${doubt}`, fix: '' };
  }
  return {
    direction: 'inbound',
    subject: '',
    covered: false,
    detail: `${way}: ${failure}`,
    fix: again(injected, `--protocol ${other(injected)}`),
  };
}

const shown = (host: string): string => (net.isIPv6(host) ? `[${host}]` : host);
const targetOf = ({ host, port }: Injected): string =>
  isLocal(host) ? String(port) : `--address ${shown(host)}:${port}`;
const other = ({ protocol }: Injected): string => (protocol === 'http' ? 'tcp' : 'http');

/** Once more, with a further flag and all that was said the first time. */
function again(injected: Injected, flag: string): string {
  const { service, takeover, sticky } = injected;
  const flags = [`--as ${service}`];
  if (takeover?.kind === 'all') flags.push('--takeover');
  if (takeover?.kind === 'match') flags.push(`--match header=${takeover.header}:${takeover.value}`);
  if (takeover?.kind === 'weight') flags.push(`--weight ${takeover.weight}`);
  if (sticky) flags.push('--sticky');
  return `mesh eject ${service} && mesh inject ${targetOf(injected)} ${[...flags, flag].join(' ')}`;
}

/** `failure`: why there is no answer of the application; null: there is one. `status`: of HTTP; 0: none. */
interface Answer {
  failure: string | null;
  status: number;
}

async function probeInbound(
  { protocol, service, ports }: Injected,
  svid: Svid,
  { anchors, trustDomain }: { anchors: readonly string[]; trustDomain: string },
): Promise<Answer> {
  const http1 = protocol === 'http';
  const socket = tls.connect({
    host: '127.0.0.1',
    port: ports.inbound,
    ...linkContextOptions({ certificate: svid.certificatePem, privateKey: svid.privateKeyPem }, anchors),
    servername: service,
    ALPNProtocols: [http1 ? 'http/1.1' : 'h2'],
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
  const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${PROBE_MS} ms`)), PROBE_MS);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    });
    const verdict = checkServerIdentity(socket, trustDomain, svid.spiffeId);
    if (!verdict.ok) return failed(verdict.message);
    return http1 ? await headRequest(socket, service) : await http2Request(socket, service, protocol);
  } catch (error) {
    return failed((error as Error).message);
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** In a trace of its own that is not sampled (W3C Trace Context): nobody asked for it. */
const probeHeaders = () => ({
  'user-agent': 'mesh-probe',
  traceparent: `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00`,
});

function headRequest(socket: tls.TLSSocket, service: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request({
      method: 'HEAD',
      path: '/',
      headers: { ...probeHeaders(), host: service, connection: 'close' },
      createConnection: () => socket,
    });
    request.on('error', reject);
    request.on('response', (response) => {
      response.resume();
      resolve(answerOf(response.headers[RESPONSE_FLAGS_HEADER], response.statusCode));
    });
    request.end();
  });
}

async function http2Request(socket: tls.TLSSocket, service: string, protocol: string): Promise<Answer> {
  const http2 = await import('node:http2');
  return new Promise((resolve, reject) => {
    const session = http2.connect(`https://${service}`, { createConnection: () => socket });
    session.on('error', reject);
    const health = { ':method': 'POST', ':path': '/grpc.health.v1.Health/Check', 'content-type': 'application/grpc' };
    const stream =
      protocol === 'tcp'
        ? session.request({ ':method': 'CONNECT', ':authority': service })
        : session.request(
            protocol === 'grpc'
              ? { ...health, te: 'trailers', ...probeHeaders() }
              : { ':method': 'HEAD', ':path': '/', ...probeHeaders() },
          );
    stream.on('error', reject);
    stream.on('close', () => reject(new Error('the connection was closed')));
    stream.on('response', (headers) => {
      resolve(answerOf(headers[RESPONSE_FLAGS_HEADER], headers[':status']));
      session.destroy();
    });
    if (protocol !== 'tcp') stream.end(protocol === 'grpc' ? Buffer.alloc(5) : undefined);
  });
}

/** A proxy that answers in the application's place says so. */
const answerOf = (flags: string | string[] | undefined, status = 0): Answer =>
  flags === undefined
    ? { failure: null, status }
    : failed(`the application does not answer (status ${status}, ${String(flags)})`);

const failed = (failure: string): Answer => ({ failure, status: 0 });

/**
 * The outbound side, where no interception sees to it: whether the environment that the process was started with leads
 * to its outbound listener.
 */
export async function outboundCoverage(injected: Injected, intercepted: readonly Coverage[]): Promise<Coverage[]> {
  if (intercepted.some(({ direction, covered }) => direction === 'outbound' && covered)) return [];
  const uncovered = (detail: string, fix: string): Coverage[] => [
    { direction: 'outbound', subject: '', covered: false, detail, fix },
  ];
  const { pid, host, ports, service } = injected;
  if (!isLocal(host))
    return uncovered(
      'it runs on another machine, which cannot reach the listeners here',
      `run a mesh there, or mesh inject --as ${service} -- COMMAND here`,
    );
  const proxy = `http://127.0.0.1:${ports.outbound}`;
  if (pid === null)
    return uncovered(
      'the process behind the port cannot be seen',
      `start it with http_proxy=${proxy} in its environment`,
    );
  const environment = environmentOf(pid);
  if (environment === null)
    return uncovered(
      `the environment of pid ${pid} cannot be read`,
      `mesh inject --as ${service} -- ${commandLine(pid)}`,
    );
  const led = leadingVariables(environment, ports);
  if (led.length > 0) {
    const answers = await outboundAnswers(ports.outbound);
    if (answers)
      return [
        {
          direction: 'outbound',
          subject: '',
          covered: true,
          detail: `${led.join(', ')} via :${ports.outbound}`,
          fix: '',
        },
      ];
  }
  const detail = 'the environment of a live process cannot be changed';
  return uncovered(detail, fixFor(injected, pid, environment));
}

/** Names of variables that lead to the workload's own listeners. */
function leadingVariables(environment: ReadonlyMap<string, string>, ports: Injected['ports']): string[] {
  const mine = new Set([ports.outbound, ...Object.values(ports.dependencies)]);
  const names: string[] = [];
  for (const [name, value] of environment) {
    if (!/^(https?_proxy|.*_URL)$/i.test(name)) continue;
    const port = /^\w+:\/\/(?:127\.0\.0\.1|localhost):(\d+)/.exec(value)?.[1];
    if (port !== undefined && mine.has(Number(port))) names.push(name);
  }
  // The same variable in lower case says nothing new.
  return names.filter((name) => !(name === 'http_proxy' && names.includes('HTTP_PROXY'))).slice(0, 4);
}

function fixFor(injected: Injected, pid: number, environment: ReadonlyMap<string, string>): string {
  const command = commandLine(pid);
  const isNode =
    /^(\S*\/)?(node|tsx|vite|next|npm|pnpm|yarn)\b/.test(command) || environment.has('npm_lifecycle_event');
  if (isNode) return again(injected, '--attach');
  if (process.platform === 'linux' && process.getuid?.() === 0) return again(injected, '--transparent');
  return `restart it with: mesh inject --as ${injected.service} -- ${command}`;
}

const commandLine = (pid: number): string => commandOf(pid) || 'COMMAND';

/** What the process was started with; null: it may not be read, or this system does not tell. */
function environmentOf(pid: number): ReadonlyMap<string, string> | null {
  if (process.platform !== 'linux') return null;
  try {
    const entries = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
    return new Map(entries.filter((entry) => entry.includes('=')).map((entry) => splitOnce(entry)));
  } catch {
    return null;
  }
}

function splitOnce(entry: string): [string, string] {
  const at = entry.indexOf('=');
  return [entry.slice(0, at), entry.slice(at + 1)];
}

/** Its answer to a name that no service has shows that the outbound proxy is there. */
function outboundAnswers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = http.request({
      host: '127.0.0.1',
      port,
      method: 'HEAD',
      path: '/',
      headers: { ...probeHeaders(), host: 'probe.invalid', connection: 'close' },
      timeout: PROBE_MS,
      agent: false,
    });
    request.on('response', (response) => {
      response.resume();
      resolve(response.headers[RESPONSE_FLAGS_HEADER] !== undefined);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
    request.end();
  });
}
