import type { RouteConfig } from '../../src/model/config.ts';
import type { MeasuredMesh, MeasuredService } from '../support/data-plane.ts';
import { median } from '../support/mesh.ts';
import { installed } from '../support/processes.ts';
import { QUICK } from '../support/quick.ts';
import type { Figure } from '../support/report.ts';
import type { AppPorts } from './configurations.ts';
import { type Sample, wrkRequests } from './load.ts';
import { alternate, errorsOf, skipped, spread } from './rounds.ts';
import { type Bed, meshServices, type System, startMesh } from './systems.ts';
import type { Field } from './throughput.ts';

const ROUTES = QUICK ? [1, 10_000] : [1, 100, 1_000, 10_000];
const SERVICES = QUICK ? [1, 200] : [1, 10, 50, 200];
const CONNECTIONS = QUICK ? [1, 32, 1_000] : [1, 8, 32, 100, 300, 1_000];
/** With fewer connections there is less to gather into one write, in any proxy. */
const FULL_CONNECTIONS = 32;
const FLAT = 1.1;
/** For the handshakes of 200 links, and for the code of so many of them. */
const LINKS_SECONDS = QUICK ? 1 : 4;

interface Point {
  label: string;
  /** Counts for the goal. */
  judged: boolean;
  measure: (seconds: number) => Promise<Sample>;
}

/** Time of the proxy for one request, in microseconds; of the wall clock where CPU time is unknown. */
const cost = (sample: Sample): number => 1e6 / (Number.isNaN(sample.perCpuSecond) ? sample.rate : sample.perCpuSecond);

/** What a request costs as routes, services and connections grow, on a data plane of its own. */
export async function curves({ bed }: Field): Promise<Figure[]> {
  if (!installed('wrk')) return [skipped('cost of a request as work grows', 'wrk')];
  const system = await startMesh(bed);
  const { mesh } = system;
  try {
    return [
      ...(await curve(
        'routes of one service',
        ROUTES.map((n) => routesPoint(bed, system, mesh, n)),
      )),
      ...(await curve(
        'services, one of them asked',
        SERVICES.map((n) => servicesPoint(bed, system, mesh, n, false)),
      )),
      ...(await curve(
        'services, all asked in turn, each over its own link',
        SERVICES.map((n) => servicesPoint(bed, system, mesh, n, true)),
      )),
      ...(await curve(
        'connections',
        CONNECTIONS.map((n) => connectionsPoint(bed, system, mesh, n)),
      )),
    ];
  } finally {
    await system.stop();
  }
}

/** Measures what was just put in force; its links are made and its code is warm before. */
async function warm(
  seconds: number,
  measure: (seconds: number) => Promise<Sample>,
  warmUpSeconds = 1,
): Promise<Sample> {
  await measure(warmUpSeconds);
  return measure(seconds);
}

async function curve(what: string, points: readonly Point[]): Promise<Figure[]> {
  const results = await alternate(points, (point, seconds) => point.measure(seconds));
  const judged = points.filter((point) => point.judged);
  const base = judged.length > 0 ? judged[0] : points[0];
  const baseCost = results.get(base)!.map(cost);
  return points.map((point) => {
    const samples = results.get(point)!;
    const costs = samples.map(cost);
    const growth = median(costs.map((value, i) => value / baseCost[i]));
    const failed = errorsOf(samples);
    const last = point === points.at(-1) && judged.includes(point);
    const against = point === base ? '' : `, ${growth.toFixed(2)}x`;
    return {
      what: `cost of a request by ${what}: ${point.label}`,
      value: `${spread(costs, (value) => `${value.toFixed(1)} us`)}${against}${failed}`,
      goal: last ? `within 10 % of ${base.label}` : '',
      met: last ? failed === '' && growth <= FLAT : failed === '' ? null : false,
    };
  });
}

function routesPoint(bed: Bed, system: System, mesh: MeasuredMesh, count: number): Point {
  const routes: RouteConfig[] = Array.from({ length: count - 1 }, (_, i) => ({
    matches: [{ path: { prefix: `/api/v${i}` } }],
  }));
  // A path in the middle: it must be the table that makes it cheap, not luck.
  const path = count === 1 ? '/api/v0/orders' : `/api/v${count >> 1}/orders`;
  return {
    label: count.toLocaleString('en'),
    judged: true,
    async measure(seconds) {
      await mesh.apply({ ...meshServices(bed.app), one: { port: bed.app.h1, routes: [...routes, {}] } });
      return warm(seconds, (seconds) => wrkRequests(bed, system, { connections: 32, seconds, path }));
    },
  };
}

function servicesPoint(bed: Bed, system: System, mesh: MeasuredMesh, count: number, all: boolean): Point {
  const names = Array.from({ length: count }, (_, i) => (i === 0 ? 'one' : `service-${i}`));
  return {
    label: String(count),
    judged: !all,
    async measure(seconds) {
      await mesh.apply(services(bed.app, names));
      if (!all) return warm(seconds, (seconds) => wrkRequests(bed, system, { connections: 32, seconds }));
      return warm(
        seconds,
        (seconds) => wrkRequests(bed, system, { connections: 32, seconds, hosts: names }, mesh.outbound),
        LINKS_SECONDS,
      );
    },
  };
}

function services({ h1 }: AppPorts, names: readonly string[]): Record<string, MeasuredService> {
  return Object.fromEntries(names.map((name) => [name, { port: h1 }]));
}

function connectionsPoint(bed: Bed, system: System, mesh: MeasuredMesh, count: number): Point {
  return {
    label: count.toLocaleString('en'),
    judged: count >= FULL_CONNECTIONS,
    async measure(seconds) {
      await mesh.apply(meshServices(bed.app));
      return warm(seconds, (seconds) => wrkRequests(bed, system, { connections: count, seconds }));
    },
  };
}
