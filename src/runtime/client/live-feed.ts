import { DEFAULT_BODY_LIMIT_BYTES } from '../../model/bodies.ts';
import { ANY_REQUEST, type RequestEvent, type StatRow } from '../../model/events.ts';
import type { CertificateStatus, EndpointStatus, MeshStatus, RouteStatus } from '../../model/status.ts';
import type { Trace } from '../../model/trace.ts';
import type { ControlClient } from '../control/client.ts';
import { type ProcessUsage, sampleUsage, type UsageSampler } from './process-usage.ts';

/** What the terminal view shows besides status, logs and notices. */
export interface LiveSink {
  events(events: readonly RequestEvent[], dropped: number): void;
  stats(rows: readonly StatRow[]): void;
  tables(tables: { routes?: RouteStatus[]; endpoints?: EndpointStatus[]; certificates?: CertificateStatus[] }): void;
  usage(usage: ReadonlyMap<string, ProcessUsage>): void;
  trace(trace: Trace): void;
}

/** What of the requests is looked at closely. */
interface Wants {
  bodies: boolean;
  /** Trace of the request that is looked at in full. */
  traceId: string | null;
}

export interface LiveView {
  readonly live: LiveSink;
  /** Calls back with the view that is looked at and what of it closely, at once and when that changes. Returns the unsubscription. */
  onLook(listener: (view: string, wants?: Wants) => void): () => void;
}

/** Rates and quantiles are those of the last ten seconds. */
export const STATS_WINDOW_MS = 10_000;
const TABLES_MS = 2_000;
const USAGE_MS = 2_000;
/** Spans of services come some seconds after the request. */
const TRACE_MS = 1_500;
const FIRST_USAGE_MS = 300;
/** More than anybody reads; what is beyond is counted. */
const TAP_PER_SECOND = 200;
/** A tap costs the proxies something: it ends when nobody has looked for so long. */
const TAP_LINGER_MS = 30_000;

const TAPPED: ReadonlySet<string> = new Set(['requests', 'routes']);

/** Keeps a view supplied with what the part of it that is looked at needs, until the signal aborts. */
export function feedLive(
  client: ControlClient,
  view: LiveView,
  status: () => MeshStatus | null,
  signal: AbortSignal,
): void {
  const { live } = view;
  let looked = '';
  let wants: Wants = { bodies: false, traceId: null };
  let tap: AbortController | null = null;
  let linger: NodeJS.Timeout | null = null;

  const startTap = () => {
    if (linger !== null) clearTimeout(linger);
    linger = null;
    if (tap !== null || signal.aborted) return;
    const own = new AbortController();
    tap = own;
    const bodyLimitBytes = wants.bodies ? DEFAULT_BODY_LIMIT_BYTES : 0;
    const filter = { ...ANY_REQUEST, headers: [], showHeaders: ['*'], maxPerSecond: TAP_PER_SECOND, bodyLimitBytes };
    void consume(client.tap(filter, own.signal), ({ events, dropped }) => live.events(events, dropped));
  };
  const stopTap = () => {
    if (linger !== null) clearTimeout(linger);
    tap?.abort();
    tap = null;
    linger = null;
  };

  const readTables = async () => {
    if (looked === 'certificates') live.tables({ certificates: await client.certificates() });
    // The requests' details name the place of their route.
    else if (looked !== 'services' && looked !== 'logs') live.tables({ routes: await client.routes() });
  };
  const usage: UsageSampler | null = sampleUsage();
  const readUsage = async () => {
    const instances = status()?.services.flatMap((service) => service.instances) ?? [];
    if (usage !== null && looked === 'services') live.usage(await usage(instances));
  };
  const readTrace = async () => {
    const { traceId } = wants;
    if (traceId === null) return;
    const found = await client.trace(traceId);
    // One that is not kept is drawn of what the tap has seen.
    if (found.ok && wants.traceId === traceId) live.trace(found.value);
  };
  // The status is known a moment after the beginning; a figure needs two samples.
  const first = setTimeout(() => void readUsage().catch(gone), FIRST_USAGE_MS);
  const timers = [first, every(TABLES_MS, readTables), every(USAGE_MS, readUsage), every(TRACE_MS, readTrace)];

  const unlook = view.onLook((next, nextWants = { bodies: false, traceId: null }) => {
    const { bodies, traceId } = wants;
    wants = nextWants;
    // A tap cannot be changed, and what has come so far has no bodies.
    if (wants.bodies !== bodies) stopTap();
    if (wants.traceId !== traceId) void readTrace().catch(gone);
    if (next !== looked) {
      looked = next;
      void readTables().catch(gone);
      void readUsage().catch(gone);
    }
    if (TAPPED.has(next)) startTap();
    else if (tap !== null && linger === null) linger = setTimeout(stopTap, TAP_LINGER_MS);
  });
  void consume(client.watchStats(STATS_WINDOW_MS, signal), (rows) => live.stats(rows));

  signal.addEventListener('abort', () => {
    unlook();
    for (const timer of timers) clearInterval(timer);
    if (linger !== null) clearTimeout(linger);
    stopTap();
  });
}

/** The status stream is the one that tells of a lost daemon; the others only end. */
const gone = () => undefined;

const every = (ms: number, read: () => Promise<void>): NodeJS.Timeout => {
  let busy = false;
  return setInterval(() => {
    if (busy) return;
    busy = true;
    read()
      .catch(gone)
      .finally(() => {
        busy = false;
      });
  }, ms);
};

async function consume<T>(source: AsyncIterable<T>, sink: (value: T) => void): Promise<void> {
  try {
    for await (const value of source) sink(value);
  } catch {
    gone();
  }
}
