import { setTimeout as delay } from 'node:timers/promises';
import type { StatRow } from '../../model/events.ts';
import type { MeshStatus } from '../../model/status.ts';
import { NO_TRAFFIC, sumsBy, type Traffic } from '../../model/traffic-sums.ts';
import type { ControlClient } from '../control/client.ts';
import { STATS_WINDOW_MS } from './live-feed.ts';
import type { MeshLocation } from './locate.ts';
import { onInterrupt, untilInterrupted } from './signals.ts';
import { paintState, type Style } from './style.ts';
import { formatMs, table } from './text.ts';
import { followMesh } from './up.ts';
import { type OpenView, type TerminalUpView, viewSession } from './view-session.ts';

/** Enough of the past to have something to look at. */
const TAIL = 100;

/** `mesh top` on a terminal: looks at a mesh that runs, and only leaves. */
export async function watchInTerminal(
  client: ControlClient,
  location: MeshLocation,
  openView: OpenView,
): Promise<void> {
  let terminal: TerminalUpView | null = null;
  const listeners = new Set<() => void>();
  const press = () => {
    if (!terminal?.suspended()) for (const listener of [...listeners]) listener();
  };
  const unlisten = onInterrupt(press);
  try {
    terminal = await openView(viewSession(client, location, { quit: 'quit', onInterrupt: press }));
    const mesh = { client, launched: false, startedAtMs: Date.now() };
    await followMesh(mesh, { location, services: [], stopTimeoutMs: 0, tail: TAIL }, terminal, {
      listen(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    });
  } finally {
    unlisten();
  }
}

export interface PlainTop {
  intervalMs: number;
  /** Readings; 0: until Ctrl-C. */
  count: number;
  style: Style;
  /** Null: not cut. */
  columns: number | null;
  /** Null: tables for people. */
  json: ((document: object) => void) | null;
  print(...lines: string[]): void;
}

/** `mesh top` without a terminal: the table of services, again and again. */
export async function printPeriodically(client: ControlClient, top: PlainTop): Promise<void> {
  const signal = untilInterrupted();
  for (let reading = 0; top.count === 0 || reading < top.count; reading++) {
    if (reading > 0) await delay(top.intervalMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const [status, stats] = await Promise.all([client.status(), client.stats(STATS_WINDOW_MS)]);
    if (top.json === null) top.print(...(reading > 0 ? [''] : []), ...renderTop(status, stats, top));
    else top.json(topDocument(status, stats, new Date()));
  }
}

interface Row {
  name: string;
  state: string;
  up: number;
  instances: number;
  restarts: number;
  traffic: Traffic;
}

const STATES = ['failed', 'unhealthy', 'stopping', 'starting', 'ready', 'completed', 'stopped'] as const;

function rowsOf(status: MeshStatus, stats: readonly StatRow[]): Row[] {
  const sums = sumsBy(stats, ({ destination }) => destination);
  return status.services.map(({ name, external, instances }) => {
    const states = instances.map(({ state }) => state);
    return {
      name,
      state: STATES.find((state) => states.includes(state)) ?? (external ? 'external' : 'none'),
      up: states.filter((state) => state === 'ready').length,
      instances: states.length,
      restarts: instances.reduce((sum, { restarts }) => sum + restarts, 0),
      traffic: sums.get(name) ?? NO_TRAFFIC,
    };
  });
}

export function renderTop(
  status: MeshStatus,
  stats: readonly StatRow[],
  { style, columns }: Pick<PlainTop, 'style' | 'columns'>,
): string[] {
  const latency = (ms: number, { requests }: Traffic) => (requests === 0 ? '-' : formatMs(ms));
  const rows = rowsOf(status, stats);
  const errors = status.config.problems.filter(({ severity }) => severity !== 'warning').length;
  return [
    `${style.bold(status.mesh)}  ${paintState(style, status.state)}  ${style.dim(`config version ${status.config.version}`)}${errors === 0 ? '' : style.red('  last save not applied')}`,
    ...table(
      rows,
      [
        { title: 'SERVICE', value: ({ name }) => name, shrinkTo: 10 },
        { title: 'STATE', value: ({ state }) => state, paint: (text, { state }) => paintState(style, state, text) },
        { title: 'UP', value: ({ up, instances }) => `${up}/${instances}`, align: 'right' },
        { title: 'RST', value: ({ restarts }) => String(restarts), align: 'right' },
        { title: 'REQ/S', value: ({ traffic }) => traffic.perSecond.toFixed(1), align: 'right' },
        {
          title: 'OK',
          value: ({ traffic }) =>
            traffic.requests === 0 ? '-' : `${(Math.floor(traffic.success * 1_000) / 10).toFixed(1)} %`,
          paint: (text, { traffic }) => (traffic.success < 0.999 ? style.red(text) : text),
          align: 'right',
        },
        { title: 'P50', value: ({ traffic }) => latency(traffic.p50Ms, traffic), align: 'right' },
        { title: 'P95', value: ({ traffic }) => latency(traffic.p95Ms, traffic), align: 'right' },
        { title: 'P99', value: ({ traffic }) => latency(traffic.p99Ms, traffic), align: 'right' },
        { title: 'ACT', value: ({ traffic }) => String(traffic.active), align: 'right' },
      ],
      { columns, title: style.bold },
    ),
  ];
}

/** One line of `mesh top --json`. */
function topDocument(status: MeshStatus, stats: readonly StatRow[], now: Date): object {
  return {
    time: now.toISOString(),
    mesh: status.mesh,
    state: status.state,
    configVersion: status.config.version,
    windowMs: STATS_WINDOW_MS,
    services: rowsOf(status, stats).map(({ name, state, up, instances, restarts, traffic }) => ({
      name,
      state,
      ready: up,
      instances,
      restarts,
      requestsPerSecond: traffic.perSecond,
      successRate: traffic.success,
      p50Ms: traffic.p50Ms,
      p95Ms: traffic.p95Ms,
      p99Ms: traffic.p99Ms,
      active: traffic.active,
    })),
  };
}
