import type { ConstantRateOptions, ConstantRateReport } from '../support/constant-rate.ts';
import { median } from '../support/mesh.ts';
import { installed, run } from '../support/processes.ts';
import type { Figure } from '../support/report.ts';
import { wrkRequests } from './load.ts';
import { alternate, errorsOf, ratio, ratios, skipped, spread } from './rounds.ts';
import { type Bed, BODY_BYTES, KILOBYTE, type System } from './systems.ts';
import type { Field } from './throughput.ts';

interface Latency {
  /** Milliseconds. */
  p50: number;
  p99: number;
  errors: readonly string[];
}

const fine = (value: number): string => `${value.toFixed(3)} ms`;

/** One connection that sends its next request when the last was answered. */
export async function oneConnection(field: Field): Promise<Figure[]> {
  const what = 'one connection, added to the latency of the backend alone';
  if (!installed('wrk')) return [skipped(what, 'wrk')];
  const { bed, mesh } = field;
  const results = await alternate(ways(field), (system, seconds) =>
    wrkRequests(bed, system, { connections: 1, seconds }),
  );
  const figures: Figure[] = [];
  for (const [quantile, name, most] of [
    ['p50', 'median', 1.1],
    ['p99', 'p99', 1.5],
  ] as const) {
    const mine = added(results, mesh, bed.direct, quantile);
    const failed = errorsOf(results.get(mesh)!);
    figures.push({
      what: `${what}: ${name}`,
      value: spread(mine, fine) + failed,
      goal: '',
      met: failed === '' ? null : false,
    });
    for (const peer of results.keys()) {
      if (peer === mesh || peer === bed.direct) continue;
      const theirs = added(results, peer, bed.direct, quantile);
      const compared = ratios(mine, theirs);
      const judged = peer.name === 'haproxy';
      figures.push({
        what: `${what}: ${name} against ${peer.name}`,
        value: `${spread(compared, ratio)}; it: ${spread(theirs, fine)}${errorsOf(results.get(peer)!)}`,
        goal: judged ? `at most ${most}x` : '',
        met: judged ? failed === '' && median(compared) <= most : null,
      });
    }
    figures.push(...field.missing.map((peer) => skipped(`${what}: ${name} against ${peer}`, peer)));
  }
  return figures;
}

/** 1,000 requests a second over 16 connections, sent when they are due. */
export async function constantRate(field: Field): Promise<Figure[]> {
  const { bed, mesh } = field;
  const what = '1 KB at 1,000 req/s, 16 connections, added to the backend alone';
  const results = await alternate(ways(field), (system, seconds) => atConstantRate(bed, system.h1!, seconds));
  const figures: Figure[] = [];
  for (const [quantile, name, under] of [
    ['p50', 'median', 0.3],
    ['p99', 'p99', 1.5],
  ] as const) {
    for (const system of results.keys()) {
      if (system === bed.direct) continue;
      const values = added(results, system, bed.direct, quantile);
      const failed = errorsOf(results.get(system)!);
      figures.push({
        what: `${what}: ${name}${system === mesh ? '' : `, ${system.name}`}`,
        value: spread(values, fine) + failed,
        goal: system === mesh ? `under ${under} ms` : '',
        met: system === mesh ? failed === '' && median(values) < under : null,
      });
    }
    figures.push(...field.missing.map((peer) => skipped(`${what}: ${name}, ${peer}`, peer)));
  }
  const alone = results.get(bed.direct)!;
  figures.push({
    what: '... the backend alone, the client included',
    value: `median ${spread(
      alone.map((r) => r.p50),
      fine,
    )}, p99 ${spread(
      alone.map((r) => r.p99),
      fine,
    )}`,
    goal: '',
    met: null,
  });
  return figures;
}

/** What `constant-rate.ts` measures on one port. */
export async function atConstantRate(bed: Bed, port: number, seconds: number): Promise<Latency> {
  const options: ConstantRateOptions = {
    port,
    rate: 1_000,
    connections: 16,
    seconds,
    warmUpSeconds: 0.5,
    path: KILOBYTE,
    bodyBytes: BODY_BYTES[KILOBYTE],
  };
  const text = await run(bed.cores.load, process.execPath, [bed.programs.constantRate, JSON.stringify(options)]);
  const { p50, p99, errors } = JSON.parse(text) as ConstantRateReport;
  return { p50, p99, errors: Object.entries(errors).map(([reason, times]) => `${times} ${reason}`) };
}

function ways({ bed, mesh, peers }: Field): System[] {
  return [bed.direct, mesh, ...peers].filter((system) => system.h1 !== null);
}

function added(
  results: ReadonlyMap<System, Latency[]>,
  system: System,
  direct: System,
  quantile: 'p50' | 'p99',
): number[] {
  const base = results.get(direct)!;
  return results.get(system)!.map((sample, i) => sample[quantile] - base[i][quantile]);
}
