/**
 * `npm run soak [-- --minutes M --seed N --only TRAFFIC]`: a mesh of its own, every protocol through it at once, with clients that go away
 * and clients that read slowly, while services restart, the configuration is saved and certificates are rotated. Every
 * answer is checked against its request. At the end the data plane has to hold what it held before: sockets, heap.
 */
import { mkdir, readFile, symlink } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type BenchMesh, createMesh, freePort, median, quantile, root } from '../bench/support/mesh.ts';
import { caseSeed, createRandom, type Random } from '../fuzz/random.ts';
import build from '../test/support/build.ts';
import { type Holdings, takeStock } from './data-plane.ts';
import { type Ports, startLoads, type Tally } from './load.ts';
import { HTTP1_LOADS } from './loads/http1.ts';
import { HTTP2_LOADS } from './loads/http2.ts';
import { RPC_LOADS } from './loads/rpc.ts';
import { SESSION_LOADS } from './loads/sessions.ts';

const ALL_LOADS = [...HTTP1_LOADS, ...HTTP2_LOADS, ...RPC_LOADS, ...SESSION_LOADS];
const SERVICES = ['web', 'rpc', 'raw'] as const;
const WARM_UP_MS = 15_000;
/** Between two disturbances. */
const CALM_MS = 3_000;
/** What may be left at the end beyond the beginning. */
const SOCKETS_MORE = 4;
const HEAP_MORE_BYTES = 12e6;
const RESIDENT_MORE_BYTES = 80e6;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '3' },
    seed: { type: 'string' },
    only: { type: 'string', multiple: true },
  },
});
const loads = ALL_LOADS.filter(({ name }) => values.only === undefined || values.only.includes(name));
if (loads.length === 0) throw new Error(`--only wants some of: ${ALL_LOADS.map(({ name }) => name).join(', ')}`);
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error(`--minutes wants a number above 0, not ${values.minutes}`);
const seed = values.seed === undefined ? Math.floor(Math.random() * 0x7fff_ffff) : Number(values.seed);
console.log(`seed ${seed}, ${minutes} minutes`);

// What runs has to be what is here; nothing is done where it is.
build();
// The data plane's inspector, when it is asked to open, takes any free port.
process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --inspect-port=0`.trim();
const https = await freePort();
const mesh = await createMesh((gateway) => configuration(gateway, 0));
const restarts = new Map<string, { fromMs: number; toMs: number }>();
const counts: Record<string, number> = {};
let disturbed: string[] = [];

try {
  await linkSources(mesh.dir);
  await mesh.mesh('up', '-d');
  const ports = await portsOf(mesh);
  const { dataPlanePids } = await mesh.status();
  const log = path.join(mesh.dir, '.mesh/data-plane.log');
  const before = await soak(ports, WARM_UP_MS, 1).then(() => takeStock(dataPlanePids[0], log));
  console.log(`warm: ${describe(before)}`);
  const tallies = await soak(ports, minutes * 60_000, 2);
  const after = await takeStock(dataPlanePids[0], log);
  const same = (await mesh.status()).dataPlanePids[0] === dataPlanePids[0];
  const failures = report(tallies, before, after, same);
  // A bug in one exchange is survived, so that only the log tells.
  const bugs = (await readFile(log, 'utf8')).split('\n').filter((line) => line.startsWith('data plane: '));
  if (bugs.length > 0) failures.push(`${bugs.length} uncaught exceptions in the data plane, the first: ${bugs[0]}`);
  if (failures.length > 0) {
    console.log(`\nFAILED\n${failures.map((text) => `- ${text}`).join('\n')}`);
    process.exitCode = 1;
  } else console.log('\nall as it should be');
} finally {
  await mesh.close();
}

/** Load and disturbances for so long. */
async function soak(ports: Ports, durationMs: number, part: number): Promise<ReadonlyMap<string, Tally>> {
  const end = performance.now() + durationMs;
  const running = startLoads(loads, ports, restarts, (index) => createRandom(caseSeed(seed + part, index)));
  const random = createRandom(caseSeed(seed, part));
  disturbed = [];
  for (let n = 0; performance.now() + CALM_MS < end; n++) {
    await sleep(CALM_MS);
    await disturb(random, n);
  }
  await sleep(Math.max(0, end - performance.now()));
  await running.stop();
  return running.tallies;
}

async function disturb(random: Random, n: number): Promise<void> {
  const what = random.pick(['restart', 'restart', 'save', 'certificates'] as const);
  const service = random.pick(SERVICES);
  const name = what === 'restart' ? `restart of ${service}` : what;
  counts[name] = (counts[name] ?? 0) + 1;
  try {
    if (what === 'save') await mesh.save(configuration(mesh.gateway, n + 1));
    else if (what === 'certificates') await mesh.mesh('certs', 'rotate');
    else {
      const fromMs = performance.now();
      restarts.set(service, { fromMs, toMs: Number.POSITIVE_INFINITY });
      await mesh.mesh('restart', service);
      restarts.set(service, { fromMs, toMs: performance.now() });
    }
  } catch (error) {
    restarts.delete(service);
    disturbed.push(`${name}: ${(error as Error).message}`);
  }
}

/** Route names, and with them tables, differ from one save to the next. */
function configuration(gateway: number, version: number): string {
  const service = (name: string, protocol: string) => {
    const routes = protocol === 'tcp' ? '' : `, routes: [{ name: 'r${version}' }]`;
    return `${name}: { command: 'node --import tsx soak/services/${name}.ts', protocol: '${protocol}', stop: { grace: '8s' }${routes} }`;
  };
  return `import { defineMesh } from 'localmesh';
export default defineMesh({
  version: 1, name: 'soak',
  gateway: { http: ${gateway}, https: ${https}, routes: [{ name: 'g${version}', backends: [{ service: 'web' }] }] },
  services: {
    ${service('web', 'http')},
    ${service('rpc', 'grpc')},
    ${service('raw', 'tcp')},
    client: { command: 'node --import tsx soak/services/client.ts', dependsOn: ['web', 'rpc', 'raw'] },
  },
});
`;
}

/** The services are started in the mesh's own directory and find their sources and packages by links. */
async function linkSources(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  for (const name of ['soak', 'node_modules', 'package.json', 'tsconfig.json'])
    await symlink(path.join(root, name), path.join(dir, name));
}

async function portsOf({ dir, gateway, mesh: run }: BenchMesh): Promise<Ports> {
  const environment = JSON.parse(await readFile(path.join(dir, 'client-environment.json'), 'utf8'));
  const { services } = JSON.parse(await run('ps', '--json'));
  const client = services.find((service: { name: string }) => service.name === 'client');
  const portOf = (name: string) => Number(environment[`${name}_SERVICE_PORT`]);
  return {
    gateway,
    gatewayTls: https,
    outbound: client.instances[0].outboundPort,
    web: portOf('WEB'),
    rpc: portOf('RPC'),
    raw: portOf('RAW'),
  };
}

function mb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function describe({ sockets, heapBytes, residentBytes }: Holdings): string {
  return `${sockets} sockets, heap ${mb(heapBytes)}, resident ${mb(residentBytes)}`;
}

/** Prints the table and returns what is not as it should be. */
function report(
  tallies: ReadonlyMap<string, Tally>,
  before: Holdings,
  after: Holdings,
  sameProcess: boolean,
): string[] {
  const failures: string[] = [];
  const row = (cells: readonly (string | number)[]) =>
    console.log(
      `| ${cells.map((cell, i) => (i === 0 ? String(cell).padEnd(20) : String(cell).padStart(8))).join(' | ')} |`,
    );
  console.log('');
  row(['traffic', 'done', 'aborted', 'cut', 'failed', 'p50 ms', 'max ms']);
  row(['---', '---', '---', '---', '---', '---', '---']);
  for (const [name, { done, aborted, cut, failed, tookMs }] of tallies) {
    const reasons = Object.entries(failed);
    row([
      name,
      done,
      aborted,
      cut,
      reasons.reduce((sum, [, n]) => sum + n, 0),
      median(tookMs).toFixed(1),
      quantile(tookMs, 1).toFixed(0),
    ]);
    for (const [reason, n] of reasons) failures.push(`${name}: ${n} x ${reason}`);
    if (done === 0) failures.push(`${name}: nothing was done`);
  }
  console.log(
    `\ndisturbances: ${Object.entries(counts)
      .map(([what, n]) => `${n} x ${what}`)
      .join(', ')}`,
  );
  console.log(`data plane, before: ${describe(before)}`);
  console.log(`data plane, after:  ${describe(after)}`);
  failures.push(...disturbed);
  if (!sameProcess) failures.push('the data plane was replaced');
  if (after.sockets > before.sockets + SOCKETS_MORE)
    failures.push(`${after.sockets - before.sockets} sockets are left`);
  if (after.heapBytes > before.heapBytes + HEAP_MORE_BYTES)
    failures.push(`the heap has grown by ${mb(after.heapBytes - before.heapBytes)}`);
  if (after.residentBytes > before.residentBytes + RESIDENT_MORE_BYTES)
    failures.push(`resident memory has grown by ${mb(after.residentBytes - before.residentBytes)}`);
  return failures;
}
