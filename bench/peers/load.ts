import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import http2 from 'node:http2';
import path from 'node:path';
import { bodyOf } from '../support/body.ts';
import { cpuSeconds, run } from '../support/processes.ts';
import { type Bed, BODY_BYTES, JSON_BODY, type System } from './systems.ts';

/** What one measurement of one system gave. */
export interface Sample {
  /** Requests, megabytes or connections a second, as the measurement says. */
  rate: number;
  /** The same for each second of CPU time of the proxy; NaN where that is not known. */
  perCpuSecond: number;
  /** Share of the time in which the proxy used its core; NaN where not known. */
  busy: number;
  /** Milliseconds; NaN where not measured. */
  p50: number;
  p99: number;
  /** What went wrong, in words; empty if nothing did. */
  errors: readonly string[];
}

const NOT_MEASURED = { p50: Number.NaN, p99: Number.NaN };

/** Runs a load and sets what it did against the CPU time that the proxy took meanwhile. */
async function metered(
  system: Pick<System, 'pid'>,
  work: () => Promise<{ amount: number; seconds: number; p50?: number; p99?: number; errors: string[] }>,
): Promise<Sample> {
  const before = await cpuSeconds(system.pid);
  const began = performance.now();
  const { amount, seconds, errors, ...latency } = await work();
  const wall = (performance.now() - began) / 1_000;
  const after = await cpuSeconds(system.pid);
  const cpu = before === null || after === null ? Number.NaN : after - before;
  return {
    rate: amount / seconds,
    perCpuSecond: amount / cpu,
    busy: cpu / wall,
    ...NOT_MEASURED,
    ...latency,
    errors,
  };
}

/** What a load needs to run. */
type LoadBed = Pick<Bed, 'dir' | 'cores'>;

export interface WrkOptions {
  connections: number;
  seconds: number;
  path?: string;
  /** Bytes to upload with each request. */
  upload?: number;
  /** Each request goes to the next of these hosts. */
  hosts?: readonly string[];
}

interface WrkReport {
  requests: number;
  bytes: number;
  micros: number;
  p50: number;
  p99: number;
  connect: number;
  read: number;
  write: number;
  timeout: number;
  status: number;
}

/** Printed by wrk itself, which rounds what it shows to people. */
const WRK_DONE = `done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('\\nREPORT {"requests":%d,"bytes":%.0f,"micros":%.0f,"p50":%.3f,"p99":%.3f,"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d}\\n',
    summary.requests, summary.bytes, summary.duration, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.connect, e.read, e.write, e.timeout, e.status))
end
`;

async function wrk(bed: LoadBed, port: number, options: WrkOptions): Promise<{ report: WrkReport; errors: string[] }> {
  const url = `http://127.0.0.1:${port}${options.path ?? '/'}`;
  let script = WRK_DONE;
  if (options.upload !== undefined) script += `wrk.method = 'POST'\nwrk.body = string.rep('x', ${options.upload})\n`;
  if (options.hosts !== undefined) {
    const names = options.hosts.map((host) => `'${host}'`).join(',');
    script += `local hosts, requests, i = {${names}}, {}, 0
init = function() for n, host in ipairs(hosts) do wrk.headers['Host'] = host; requests[n] = wrk.format('GET', '/') end end
request = function() i = i % #requests + 1; return requests[i] end
`;
  }
  const file = path.join(bed.dir, 'wrk.lua');
  await writeFile(file, script);
  const args = ['-t1', `-c${options.connections}`, `-d${options.seconds}s`, '--timeout', '30s', '-s', file, url];
  const text = await run(bed.cores.load, 'wrk', args);
  const found = /^REPORT (.*)$/m.exec(text);
  if (found === null) throw new Error(`wrk said nothing: ${text}`);
  const report = JSON.parse(found[1]) as WrkReport;
  const errors: string[] = [];
  for (const kind of ['connect', 'read', 'write', 'timeout', 'status'] as const) {
    if (report[kind] > 0) errors.push(`${report[kind]} ${kind} errors`);
  }
  return { report, errors };
}

/** Requests a second over HTTP/1.1. */
export function wrkRequests(
  bed: LoadBed,
  system: Pick<System, 'pid' | 'h1'>,
  options: WrkOptions,
  port = system.h1!,
): Promise<Sample> {
  return metered(system, async () => {
    const { report, errors } = await wrk(bed, port, options);
    const least = BODY_BYTES[options.path ?? '/'] ?? JSON_BODY.length;
    if (report.bytes < report.requests * least)
      errors.push(`only ${report.bytes} bytes for ${report.requests} requests`);
    return { amount: report.requests, seconds: report.micros / 1e6, p50: report.p50, p99: report.p99, errors };
  });
}

/** Megabytes a second of a body that comes down. */
export function wrkDownload(bed: Bed, system: System, options: WrkOptions): Promise<Sample> {
  return metered(system, async () => {
    const { report, errors } = await wrk(bed, system.h1!, options);
    return { amount: report.bytes / 1e6, seconds: report.micros / 1e6, errors };
  });
}

/** Megabytes a second that the sink got. */
export function wrkUpload(bed: Bed, system: System, options: WrkOptions): Promise<Sample> {
  return metered(system, async () => {
    const before = await sinkTotal(bed);
    const { report, errors } = await wrk(bed, system.upload!, { ...options, path: '/upload' });
    const bytes = (await sinkTotal(bed)) - before;
    if (bytes < report.requests * options.upload!)
      errors.push(`the sink got ${bytes} bytes of ${report.requests} uploads`);
    return { amount: bytes / 1e6, seconds: report.micros / 1e6, errors };
  });
}

export async function sinkTotal({ app }: Pick<Bed, 'app'>): Promise<number> {
  const { body } = await get(app.sink, '/upload/total');
  return Number(body.toString());
}

export interface H2loadOptions {
  connections: number;
  streams: number;
  /** One of the two. */
  seconds?: number;
  requests?: number;
}

/** Requests a second over HTTP/2. */
export function h2load(bed: Bed, system: System, options: H2loadOptions, port = system.h2!): Promise<Sample> {
  const { connections, streams, seconds, requests } = options;
  const amount = seconds === undefined ? ['-n', String(requests)] : ['-D', String(seconds)];
  return metered(system, async () => {
    const args = ['-t1', `-c${connections}`, `-m${streams}`, ...amount, `http://127.0.0.1:${port}/`];
    const text = await run(bed.cores.load, 'h2load', args);
    const number = (pattern: RegExp): number => {
      const found = pattern.exec(text);
      if (found === null) throw new Error(`h2load said something else: ${text}`);
      return Number(found[1]);
    };
    const done = number(/^requests: .* (\d+) done/m);
    const good = number(/^status codes: (\d+) 2xx/m);
    const failed = number(/, (\d+) failed/);
    // The raw figure is in brackets: "data" is the payload of DATA frames.
    const bytes = number(/\((\d+)\) data/);
    const errors: string[] = [];
    if (good < done || failed > 0) errors.push(`${done - good} of ${done} not 2xx, ${failed} failed`);
    // At the end of the time a stream may have its status and not its body yet.
    if (bytes < (good - connections * streams) * JSON_BODY.length)
      errors.push(`only ${bytes} bytes for ${good} requests`);
    const [, value, unit] = /finished in ([\d.]+)(ms|us|s)/.exec(text) ?? ['', '0', 's'];
    const took = Number(value) / (unit === 's' ? 1 : unit === 'ms' ? 1e3 : 1e6);
    return { amount: good, seconds: seconds ?? took, errors };
  });
}

/** Clients side by side, each with one connection at a time: enough to keep the server busy while they calculate. */
const HANDSHAKERS = 4;

/** New connections a second with a full handshake of both sides, and one request on each. */
export function handshakes(bed: Bed, system: System, seconds: number): Promise<Sample> {
  return metered(system, async () => {
    const args = ['s_time', '-connect', `127.0.0.1:${system.inbound}`, '-new', '-time', String(seconds), '-www', '/'];
    args.push('-cert', bed.files.clientCert, '-key', bed.files.clientKey, '-CAfile', bed.files.ca);
    const began = performance.now();
    const texts = await Promise.all(Array.from({ length: HANDSHAKERS }, () => run(bed.cores.load, 'openssl', args)));
    const took = (performance.now() - began) / 1_000;
    const errors: string[] = [];
    let connections = 0;
    for (const text of texts) {
      const found = /^(\d+) connections in \d+ real seconds, (\d+) bytes read per connection/m.exec(text);
      if (found === null) throw new Error(`openssl s_time said something else: ${text}`);
      connections += Number(found[1]);
      if (Number(found[2]) < JSON_BODY.length) errors.push(`${found[2]} bytes for each connection`);
    }
    return { amount: connections, seconds: took, errors };
  });
}

/** One request over each of a system's ways, status and every byte of the body checked. */
export async function verify(bed: Bed, system: System): Promise<void> {
  const expect = (what: string, got: { status: number; body: Buffer }, body: Buffer) => {
    if (got.status !== 200) throw new Error(`${system.name}: ${what} is answered with ${got.status}`);
    if (digest(got.body) !== digest(body))
      throw new Error(`${system.name}: ${what} has a wrong body of ${got.body.length} bytes`);
  };
  if (system.h1 !== null) {
    expect('GET /', await get(system.h1, '/'), Buffer.from(JSON_BODY));
    for (const [url, bytes] of Object.entries(BODY_BYTES))
      expect(`GET ${url}`, await get(system.h1, url), bodyOf(bytes));
  }
  if (system.h2 !== null) expect('GET / over HTTP/2', await getHttp2(system.h2), Buffer.from(JSON_BODY));
  if (system.upload !== null) {
    const before = await sinkTotal(bed);
    const size = 3 << 20;
    expect('an upload', await get(system.upload, '/upload', bodyOf(size)), Buffer.from(String(size)));
    const got = (await sinkTotal(bed)) - before;
    if (got !== size) throw new Error(`${system.name}: the sink got ${got} bytes instead of ${size}`);
  }
}

const digest = (body: Buffer): string => createHash('sha256').update(body).digest('hex');

function get(port: number, url: string, upload: Buffer | null = null): Promise<{ status: number; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const method = upload === null ? 'GET' : 'POST';
    const request = http.request({ host: '127.0.0.1', port, path: url, method, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode!, body: Buffer.concat(chunks) }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(upload ?? undefined);
  });
}

function getHttp2(port: number): Promise<{ status: number; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`http://127.0.0.1:${port}`);
    session.on('error', reject);
    const stream = session.request({ ':path': '/' });
    let status = 0;
    const chunks: Buffer[] = [];
    stream.on('response', (headers) => {
      status = headers[':status']!;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('end', () => {
      session.close();
      resolve({ status, body: Buffer.concat(chunks) });
    });
  });
}
