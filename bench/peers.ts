import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { idleConnections } from './peers/connections.ts';
import { curves } from './peers/curves.ts';
import { constantRate, oneConnection } from './peers/latency.ts';
import { verify } from './peers/load.ts';
import { ROUNDS, SECONDS } from './peers/rounds.ts';
import {
  type Bed,
  type System,
  startBackend,
  startHaproxy,
  startMesh,
  startNginx,
  startNode,
  startNodeHttp2,
  writeCredentials,
} from './peers/systems.ts';
import { type Field, http1Requests, http2Requests, largeBodies, newConnections } from './peers/throughput.ts';
import { bundle } from './support/bundle.ts';
import { openBenchAuthority } from './support/data-plane.ts';
import { chooseCores, installed } from './support/processes.ts';
import { type Bench, type Figure, versionOf } from './support/report.ts';

const ROWS: Record<string, (field: Field) => Promise<Figure[]>> = {
  http1: http1Requests,
  http2: http2Requests,
  latency: oneConnection,
  rate: constantRate,
  bodies: largeBodies,
  handshakes: newConnections,
  idle: idleConnections,
  curves,
};

/**
 * Our data plane against what others use for the same work: two hops with mutual TLS. `MESH_BENCH_ROWS=http1,idle`
 * measures only those rows.
 */
export const peers: Bench = async () => {
  const wanted = process.env.MESH_BENCH_ROWS?.split(',') ?? Object.keys(ROWS);
  const unknown = wanted.filter((name) => !(name in ROWS));
  if (unknown.length > 0)
    throw new Error(`there is no row ${unknown.join(', ')}; there are: ${Object.keys(ROWS).join(', ')}`);
  const dir = await mkdtemp(path.join(tmpdir(), 'mesh-peers-'));
  // Where a signal ends the bench, `finally` is not reached.
  const removeAtExit = () => rmSync(dir, { recursive: true, force: true });
  process.once('exit', removeAtExit);
  const systems: System[] = [];
  const started = <T extends System | null>(system: T): T => {
    if (system !== null) systems.push(system);
    return system;
  };
  try {
    const cores = chooseCores();
    const programs = await bundle(path.join(dir, 'programs'), {
      dataPlane: 'src/proxy/data-plane-process.ts',
      peer: 'bench/support/peer-node.ts',
      backend: 'bench/support/backend-node.ts',
      constantRate: 'bench/support/constant-rate.ts',
      idle: 'bench/support/idle-connections.ts',
      bareSockets: 'bench/support/bare-sockets.ts',
      memoryProbe: 'bench/support/memory-probe.ts',
    });
    const authority = await openBenchAuthority(dir);
    const files = await writeCredentials(dir, authority);
    const { app, direct } = await startBackend(dir, programs, cores);
    started(direct);
    const bed: Bed = { dir, cores, programs, authority, files, app, direct };
    const mesh = started(await startMesh(bed));
    const others = [
      started(await startHaproxy(bed)),
      started(await startNginx(bed)),
      started(await startNode(bed)),
      started(await startNodeHttp2(bed)),
    ];
    const field: Field = {
      bed,
      mesh,
      peers: others.filter((system) => system !== null),
      missing: ['haproxy', 'nginx'].filter((name) => !installed(name)),
    };
    for (const system of systems) await verify(bed, system);
    const figures: Figure[] = [];
    for (const name of wanted) figures.push(...(await row(name, field)));
    // Whatever broke under load would be seen now.
    for (const system of systems) await verify(bed, system);
    if (mesh.mesh.notices.length > 0) {
      figures.push({
        what: 'the data plane said',
        value: mesh.mesh.notices.slice(0, 3).join('; '),
        goal: 'nothing',
        met: false,
      });
    }
    return { title: 'Against the peers', note: note(cores.proxy !== null), figures };
  } finally {
    for (const system of systems.reverse()) await system.stop();
    await rm(dir, { recursive: true, force: true });
    process.off('exit', removeAtExit);
  }
};

/** A row that cannot be measured must not take the others with it. */
async function row(name: string, field: Field): Promise<Figure[]> {
  try {
    return await ROWS[name](field);
  } catch (error) {
    return [
      { what: name, value: `could not be measured: ${(error as Error).message.slice(0, 300)}`, goal: '', met: false },
    ];
  }
}

function note(pinned: boolean): string {
  // wrk ends with 1 when it has told its version.
  const flags = { haproxy: '-v', nginx: '-v', wrk: '-v || true', h2load: '--version', openssl: 'version' };
  const versions = Object.entries(flags).map(([program, flag]) =>
    installed(program) ? versionOf(program, flag) : null,
  );
  const where = pinned
    ? 'Proxies run on core 0, client and backend on core 1'
    : 'Nothing is pinned: there is no taskset, or only one core';
  return [
    `Two hops with mutual TLS (node:http2: one hop without), both in one process. ${where}. Our side is the data-plane process as published,`,
    'with a configuration compiled as the daemon does it. haproxy and our proxies share one HTTP/2 link, the others pool HTTP/1.1 connections.',
    `Medians of ${ROUNDS} rounds of ${SECONDS} s, in turn, after one to warm up; ratios are made round by round; brackets: least and most.`,
    'Every way is checked byte by byte before and after, statuses and amounts during the load. "Per core" is by CPU time of the proxy.',
    installed('nginx')
      ? 'The backend is nginx, for uploads Node.'
      : 'The backend is Node (nginx is not installed), which is slower than the proxies.',
    `${versions.filter((version) => version !== null).join('; ')}.`,
  ].join(' ');
}
