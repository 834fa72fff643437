import type { Direction } from '../../model/events.ts';
import { classifyResponse } from '../cluster/outcome.ts';
import { createHistogram, type Histogram, type HistogramData, record, toData } from './histogram.ts';

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
  readonly direction: Direction;
  /** Instance whose proxy counts. */
  readonly instance: string;
  /** Whether the hop is mutual TLS between two proxies. */
  readonly tls: boolean;
}

/**
 * The numbers for one key. They only grow, `active` aside, so that a reader who missed some readings has lost
 * nothing. Keep the slot where the key is settled (a route of a listener): bumping it is then a few additions.
 */
export interface CounterSlot {
  readonly key: CounterKey;
  requests: number;
  /** Requests under way. */
  active: number;
  /** Responses by status class; `noResponse`: the client left, or the exchange broke, before there was a status. */
  status1xx: number;
  status2xx: number;
  status3xx: number;
  status4xx: number;
  status5xx: number;
  noResponse: number;
  /** As `classifyResponse` sees it, and everything without a response that was not the client's doing. */
  failures: number;
  /** The failures by status class, 1 to 5; 0: without a response. */
  readonly failedByClass: number[];
  /** gRPC calls that ended with a status: successes by status, then failures by status. Null: none so far. */
  grpcStatuses: number[] | null;
  /** Tries beyond the first. */
  retries: number;
  /** Bodies, towards the service. */
  requestBytes: number;
  /** Bodies, towards the client. */
  responseBytes: number;
  readonly latency: Histogram;
  /** Whether something was counted since the last reading. */
  changed: boolean;
}

/** One slot as plain data. */
export interface CounterData extends CounterKey {
  requests: number;
  active: number;
  status1xx: number;
  status2xx: number;
  status3xx: number;
  status4xx: number;
  status5xx: number;
  noResponse: number;
  failures: number;
  failedByClass: number[];
  grpcStatuses: number[] | null;
  retries: number;
  requestBytes: number;
  responseBytes: number;
  latency: HistogramData;
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
  if (status >= 500) slot.status5xx++;
  else if (status >= 400) slot.status4xx++;
  else if (status >= 300) slot.status3xx++;
  else if (status >= 200) slot.status2xx++;
  else if (status >= 100) slot.status1xx++;
  else slot.noResponse++;
  const failed = broken || classifyResponse(status, grpcStatus) === 'failure';
  if (failed) {
    slot.failures++;
    slot.failedByClass[status >= 100 && status < 600 ? (status / 100) | 0 : status >= 600 ? 5 : 0]++;
  }
  if (grpcStatus >= 0 && status >= 200 && status < 300) {
    slot.grpcStatuses ??= new Array<number>(2 * GRPC_STATUSES).fill(0);
    slot.grpcStatuses[(failed ? GRPC_STATUSES : 0) + Math.min(grpcStatus, GRPC_STATUSES - 1)]++;
  }
  // Without a response there is no response latency: a client that gives up quickly must not look like a quick service.
  if (status !== 0) record(slot.latency, durationMs);
}

/** Bytes of bodies; streams that live long report them while they flow, so that rates can be shown. */
export function countBytes(slot: CounterSlot, requestBytes: number, responseBytes: number): void {
  slot.requestBytes += requestBytes;
  slot.responseBytes += responseBytes;
  slot.changed = true;
}

/** The same for equal keys alone. */
export const counterId = ({ direction, source, destination, route, instance, tls }: CounterKey): string =>
  `${direction} ${source} ${destination} ${instance} ${tls} ${route}`;

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

function createSlot({ source, destination, route, direction, instance, tls }: CounterKey): CounterSlot {
  return {
    key: { source, destination, route, direction, instance, tls },
    requests: 0,
    active: 0,
    status1xx: 0,
    status2xx: 0,
    status3xx: 0,
    status4xx: 0,
    status5xx: 0,
    noResponse: 0,
    failures: 0,
    failedByClass: [0, 0, 0, 0, 0, 0],
    grpcStatuses: null,
    retries: 0,
    requestBytes: 0,
    responseBytes: 0,
    latency: createHistogram(),
    changed: false,
  };
}

function slotData(slot: CounterSlot): CounterData {
  const { key, latency, changed: _, ...numbers } = slot;
  const { failedByClass, grpcStatuses } = numbers;
  return {
    ...key,
    ...numbers,
    failedByClass: [...failedByClass],
    grpcStatuses: grpcStatuses === null ? null : [...grpcStatuses],
    latency: toData(latency),
  };
}
