import type { Direction } from '../../model/events.ts';
import { classifyResponse } from '../cluster/outcome.ts';
import { createHistogram, type Histogram, type HistogramData, record, toData } from './histogram.ts';
import { countDuration, type HttpDurations } from './http-durations.ts';

/** gRPC statuses counted apart: 0 to 16, and one place for all that gRPC does not know. */
const GRPC_STATUSES = 18;

/** What is counted apart. */
export interface CounterKey {
  /** Service that sends, or `gateway`; on the inbound side the caller's SPIFFE ID, empty where it has none. */
  readonly source: string;
  /** Service that receives; empty where none was found. */
  readonly destination: string;
  /** Name of the route; empty where there was none. */
  readonly route: string;
  /** Name of the gateway's route; empty but at the gateway. */
  readonly gatewayRoute: string;
  readonly direction: Direction;
  /** Instance whose proxy counts. */
  readonly instance: string;
  /** Whether the hop is mutual TLS between two proxies. */
  readonly tls: boolean;
}

/** Numbers that only grow; whoever reads, sums or subtracts counters goes by this list. */
export const COUNTS = [
  'requests',
  /** As `classifyResponse` sees it, and everything without a response that was not the client's doing. */
  'failures',
  /** Tries beyond the first. */
  'retries',
  /** Of bodies, towards the service. */
  'requestBytes',
  /** Of bodies, towards the client. */
  'responseBytes',
] as const;

/** The same with a number for each status class, 1 to 5; 0: without a response (the client left, or the exchange broke). */
export const COUNTS_BY_CLASS = ['responses', 'failedByClass'] as const;
const CLASSES = 6;

export type Counts = Record<(typeof COUNTS)[number], number> & Record<(typeof COUNTS_BY_CLASS)[number], number[]>;

export function noCounts(): Counts {
  const counts = {} as Counts;
  for (const field of COUNTS) counts[field] = 0;
  for (const field of COUNTS_BY_CLASS) counts[field] = new Array<number>(CLASSES).fill(0);
  return counts;
}

/**
 * The numbers for one key. They only grow, `active` aside, so that a reader who missed some readings has lost
 * nothing. Keep the slot where the key is settled (a route of a listener): bumping it is then a few additions.
 */
export interface CounterSlot extends Counts {
  readonly key: CounterKey;
  /** Requests under way. */
  active: number;
  /** gRPC calls that ended with a status: successes by status, then failures by status. Null: none so far. */
  grpcStatuses: number[] | null;
  readonly latency: Histogram;
  /** HTTP exchanges by method and status. */
  readonly durations: HttpDurations;
  /** Whether something was counted since the last reading. */
  changed: boolean;
}

/** One slot as plain data. */
export interface CounterData extends CounterKey, Counts {
  active: number;
  grpcStatuses: number[] | null;
  latency: HistogramData;
  /** Each a key of `HttpDurations` and the numbers behind it. */
  durations: number[][];
}

/** A request begins. */
export function countStart(slot: CounterSlot): void {
  slot.requests++;
  slot.active++;
  slot.changed = true;
}

/**
 * The request that `countStart` counted is over.
 * @param status of the response, 0 where there was none
 * @param grpcStatus negative where it is not gRPC
 * @param broken the exchange broke off, before or after the response began, and not by the client's will
 * @param durationMs from the request's head to the end of the response
 * @param retries tries beyond the first
 */
export function countEnd(
  slot: CounterSlot,
  status: number,
  grpcStatus: number,
  broken: boolean,
  durationMs: number,
  retries: number,
): void {
  slot.active--;
  slot.retries += retries;
  slot.changed = true;
  const statusClass = status >= 600 ? 5 : status >= 100 ? (status / 100) | 0 : 0;
  slot.responses[statusClass]++;
  const failed = broken || classifyResponse(status, grpcStatus) === 'failure';
  if (failed) {
    slot.failures++;
    slot.failedByClass[statusClass]++;
  }
  if (grpcStatus >= 0 && status >= 200 && status < 300) {
    slot.grpcStatuses ??= new Array<number>(2 * GRPC_STATUSES).fill(0);
    slot.grpcStatuses[(failed ? GRPC_STATUSES : 0) + Math.min(grpcStatus, GRPC_STATUSES - 1)]++;
  }
  // Without a response there is no response latency: a client that gives up quickly must not look like a quick service.
  if (status !== 0) record(slot.latency, durationMs);
}

/** The same request by its method and status, as `countDuration` has them: for HTTP, where it is no tunnel, and gRPC. */
export function countHttp(
  slot: CounterSlot,
  method: string,
  status: number,
  broken: boolean,
  durationMs: number,
): void {
  countDuration(slot.durations, method, status, broken, durationMs);
  slot.changed = true;
}

/** Bytes of bodies; streams that live long report them while they flow, so that rates can be shown. */
export function countBytes(slot: CounterSlot, requestBytes: number, responseBytes: number): void {
  slot.requestBytes += requestBytes;
  slot.responseBytes += responseBytes;
  slot.changed = true;
}

/** The same for equal keys alone. */
export const counterId = ({ direction, source, destination, route, gatewayRoute, instance, tls }: CounterKey): string =>
  `${direction} ${source} ${destination} ${instance} ${tls} ${gatewayRoute}\n${route}`;

export interface Counters {
  /** The slot for a key, always the same one. Keep it: finding it builds a string. */
  slot(key: CounterKey): CounterSlot;
  /** Those that changed since the last reading, or all, for a reader who has just come. */
  snapshot(which: 'changed' | 'all'): CounterData[];
  /** Over all slots. */
  totals(): { requests: number; active: number };
  /** Forgets slots of what is gone, unless something is still under way there. */
  prune(isGone: (key: CounterKey) => boolean): void;
}

export function createCounters(): Counters {
  const slots = new Map<string, CounterSlot>();
  return {
    slot(key) {
      const id = counterId(key);
      let slot = slots.get(id);
      if (slot === undefined) slots.set(id, (slot = createSlot(key)));
      return slot;
    },
    snapshot(which) {
      const data: CounterData[] = [];
      for (const slot of slots.values()) {
        if (which === 'changed' && !slot.changed) continue;
        slot.changed = false;
        data.push(slotData(slot));
      }
      return data;
    },
    totals() {
      let requests = 0;
      let active = 0;
      for (const slot of slots.values()) {
        requests += slot.requests;
        active += slot.active;
      }
      return { requests, active };
    },
    prune(isGone) {
      for (const [id, slot] of slots) if (slot.active === 0 && isGone(slot.key)) slots.delete(id);
    },
  };
}

function createSlot({ source, destination, route, gatewayRoute, direction, instance, tls }: CounterKey): CounterSlot {
  return {
    ...noCounts(),
    key: { source, destination, route, gatewayRoute, direction, instance, tls },
    active: 0,
    grpcStatuses: null,
    latency: createHistogram(),
    durations: new Map(),
    changed: false,
  };
}

function slotData(slot: CounterSlot): CounterData {
  const { key, latency, durations, changed: _, ...numbers } = slot;
  const data: CounterData = {
    ...key,
    ...numbers,
    grpcStatuses: numbers.grpcStatuses === null ? null : [...numbers.grpcStatuses],
    latency: toData(latency),
    durations: Array.from(durations, ([of, counts]) => [of, ...counts]),
  };
  for (const field of COUNTS_BY_CLASS) data[field] = [...data[field]];
  return data;
}
