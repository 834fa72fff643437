import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { MemoryReport } from '../support/memory-probe.ts';
import { median, residentBytes, sleep } from '../support/mesh.ts';
import { fileLimit, installed, type Running, run, start } from '../support/processes.ts';
import { QUICK } from '../support/quick.ts';
import { type Figure, mb } from '../support/report.ts';
import { atConstantRate } from './latency.ts';
import { h2load, wrkRequests } from './load.ts';
import { errorsOf, ROUNDS, SECONDS, skipped, spread } from './rounds.ts';
import { type Bed, type System, startMesh } from './systems.ts';
import type { Field } from './throughput.ts';

const WANTED = 10_000;
/** Of the descriptors a process may have, those left for everything else. */
const SPARE_FILES = 2_000;
/** Set up before the measurement, so that what is counted is the connections and not the first of everything. */
const FIRST = 200;
const REQUESTS = QUICK ? 100_000 : 10_000_000;
const EARLY_REQUESTS = QUICK ? 20_000 : 1_000_000;
/** Resident memory also moves with what the allocator keeps; more than this is growth. */
const GROWTH_BYTES = 10e6;
const PROBE_DEADLINE_MS = 30_000;

const kb = (bytes: number): string => `${(bytes / 1e3).toFixed(1)} KB`;

/** Memory of a process after garbage collection, by `memory-probe.ts`. */
interface Probe {
  readonly env: Record<string, string>;
  read(pid: number): Promise<MemoryReport>;
}

function createProbe(bed: Bed, name: string): Probe {
  const file = path.join(bed.dir, `${name}.memory.json`);
  return {
    env: { MESH_BENCH_PROBE: file, NODE_OPTIONS: `--import=${pathToFileURL(bed.programs.memoryProbe)}` },
    async read(pid) {
      await rm(file, { force: true });
      process.kill(pid, 'SIGUSR2');
      const deadline = performance.now() + PROBE_DEADLINE_MS;
      while (performance.now() < deadline) {
        const text = await readFile(file, 'utf8').catch(() => null);
        if (text !== null) return JSON.parse(text) as MemoryReport;
        await sleep(20);
      }
      throw new Error(`process ${pid} does not tell its memory`);
    },
  };
}

/** Idle connections, then memory under load with them, on a data plane of its own. */
export async function idleConnections({ bed }: Field): Promise<Figure[]> {
  const count = Math.min(WANTED, fileLimit() - SPARE_FILES);
  if (count < 100)
    return [
      { what: 'idle connections', value: `skipped: only ${fileLimit()} open files allowed`, goal: '', met: null },
    ];
  const bare = await bareSockets(bed, count);
  const probe = createProbe(bed, 'mesh');
  const mesh = await startMesh(bed, probe.env);
  try {
    const quiet = await repeatedP99(bed, mesh);
    await holding(bed, mesh.h1!, FIRST, async () => {});
    const before = await probe.read(mesh.pid);
    const figures = await holding(bed, mesh.h1!, count, async () => {
      const after = await probe.read(mesh.pid);
      const each = {
        rss: (after.rss - before.rss) / count,
        heap: (after.heapUsed + after.external - before.heapUsed - before.external) / count,
      };
      const beyond = each.rss - bare.rss;
      const crowded = await repeatedP99(bed, mesh);
      const growth = median(crowded.p99) / median(quiet.p99);
      const errors = [...quiet.errors, ...crowded.errors];
      return [
        {
          what: `${count.toLocaleString('en')} idle connections: memory of each beyond the bare socket's`,
          value: `${kb(beyond)} (${kb(each.rss)} resident, of which heap and buffers ${kb(each.heap)}; a bare socket in Node ${kb(bare.rss)})`,
          goal: `under 10 KB${count < WANTED ? ' at 10,000' : ''}`,
          met: beyond < 10e3,
        },
        {
          what: `p99 of others (1,000 req/s) with them, against without`,
          value: `${growth.toFixed(2)}x: ${spread(crowded.p99, (v) => `${v.toFixed(2)} ms`)} against ${spread(quiet.p99, (v) => `${v.toFixed(2)} ms`)}${errors.length > 0 ? `, ERRORS: ${errors[0]}` : ''}`,
          goal: 'unchanged (within 10 %)',
          met: errors.length === 0 && growth <= 1.1,
        },
        ...(await memoryUnderLoad(bed, mesh, count)),
      ];
    });
    return [...figures, ...(await memoryGrowth(bed, mesh, probe))];
  } finally {
    await mesh.stop();
  }
}

/** The same connections to a process that does nothing else. */
async function bareSockets(bed: Bed, count: number): Promise<{ rss: number }> {
  const probe = createProbe(bed, 'bare');
  const server = start(bed.cores.proxy, process.execPath, [bed.programs.bareSockets], probe.env);
  try {
    const port = Number(await server.firstLine);
    await holding(bed, port, FIRST, async () => {});
    const before = await probe.read(server.pid);
    const after = await holding(bed, port, count, () => probe.read(server.pid));
    return { rss: (after.rss - before.rss) / count };
  } finally {
    await server.stop();
  }
}

/** Does something while so many connections are open, and sees that they all stay open. */
async function holding<T>(bed: Bed, port: number, count: number, work: () => Promise<T>): Promise<T> {
  const client: Running = start(bed.cores.load, process.execPath, [bed.programs.idle, String(port), String(count)]);
  try {
    checkOpen(await client.firstLine, count);
    const result = await work();
    checkOpen((await client.stop()).trim().split('\n').at(-1)!, count);
    return result;
  } finally {
    await client.stop();
  }
}

function checkOpen(report: string, count: number): void {
  const { open, failed } = JSON.parse(report) as { open: number; failed: number };
  if (open !== count || failed > 0) throw new Error(`${failed} of ${count} connections failed, ${open} are open`);
}

async function repeatedP99(bed: Bed, mesh: System): Promise<{ p99: number[]; errors: string[] }> {
  const p99: number[] = [];
  const errors: string[] = [];
  await atConstantRate(bed, mesh.h1!, 1);
  for (let round = 0; round < ROUNDS; round++) {
    const sample = await atConstantRate(bed, mesh.h1!, SECONDS);
    p99.push(sample.p99);
    errors.push(...sample.errors);
  }
  return { p99, errors };
}

async function memoryUnderLoad(bed: Bed, mesh: System, idle: number): Promise<Figure[]> {
  const what = `resident memory of the data plane, ${idle.toLocaleString('en')} idle connections and 32 busy ones, at most`;
  if (!installed('wrk')) return [skipped(what, 'wrk')];
  let most = 0;
  let errors: readonly string[] = [];
  const load = wrkRequests(bed, mesh, { connections: 32, seconds: QUICK ? 1 : 10 }).then((sample) => {
    errors = sample.errors;
  });
  await whilePending(load, async () => {
    most = Math.max(most, await residentOf(mesh.pid));
  });
  const met = errors.length === 0 && most < 120e6;
  return [{ what, value: mb(most) + errorsOf([{ errors }]), goal: 'under 120 MB', met }];
}

async function memoryGrowth(bed: Bed, mesh: System, probe: Probe): Promise<Figure[]> {
  const what = `growth of memory from ${EARLY_REQUESTS.toLocaleString('en')} to ${REQUESTS.toLocaleString('en')} requests, after garbage collection`;
  if (!installed('h2load')) return [skipped(what, 'h2load')];
  const first = await h2load(bed, mesh, { connections: 4, streams: 16, requests: EARLY_REQUESTS });
  const early = await probe.read(mesh.pid);
  const rest = await h2load(bed, mesh, { connections: 4, streams: 16, requests: REQUESTS - EARLY_REQUESTS });
  const late = await probe.read(mesh.pid);
  const grown = late.rss - early.rss;
  const heap = late.heapUsed - early.heapUsed;
  const failed = errorsOf([first, rest]);
  return [
    {
      what,
      value: `${(grown / 1e6).toFixed(1)} MB resident, ${(heap / 1e6).toFixed(1)} MB heap${failed}`,
      goal: `none (within ${GROWTH_BYTES / 1e6} MB)`,
      met: failed === '' && grown < GROWTH_BYTES,
    },
  ];
}

async function whilePending(work: Promise<void>, look: () => Promise<void>): Promise<void> {
  let pending = true;
  const done = work.finally(() => {
    pending = false;
  });
  while (pending) {
    await look();
    await Promise.race([done, sleep(100)]);
  }
  await done;
}

async function residentOf(pid: number): Promise<number> {
  try {
    return await residentBytes(pid);
  } catch {
    // No /proc: ps(1) knows it in KiB.
    return Number((await run(null, 'ps', ['-o', 'rss=', '-p', String(pid)])).trim()) * 1_024;
  }
}
