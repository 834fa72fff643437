import type { CapturedEvent } from '../../model/bodies.ts';
import type { TapBatch, TapFilter } from '../../model/events.ts';
import type { TapSpec } from '../channel.ts';
import type { Exchange } from '../exchange.ts';
import { compileTapFilter, type ExchangeTest, requestEvent, shownHeaders } from './request-events.ts';

/** Events are handed on in batches, because a message costs more than what is in it. */
export const BATCH_INTERVAL_MS = 50;
/** Events of one batch over all taps that keep a record: 20,000 a second, which is what the daemon takes. */
const MOST_EVENTS = 1_000;
/**
 * The same over all taps that people read, 5,000 a second: measured, an event costs 20 us of what its request costs 50, and
 * twice as many took more than a quarter of the throughput under full load.
 */
const MOST_LIVE_EVENTS = 250;
/** Characters of one batch, roughly: paths and headers may be long. */
const MOST_CHARACTERS = 4 * 1024 * 1024;

export interface TapsOptions {
  /** Milliseconds since the epoch. */
  wallMs: () => number;
  /** Hands a batch on; `done` when the other side has taken it, which the next batch waits for. */
  send: (batches: { tap: number; batch: TapBatch }[], done: () => void) => void;
}

/** One tap as it runs. */
interface OpenTap {
  readonly id: number;
  /** Empty: both. */
  readonly direction: TapFilter['direction'];
  readonly test: ExchangeTest | null;
  readonly shown: ReadonlySet<string> | null;
  readonly maxPerSecond: number;
  readonly live: boolean;
  /** 0: bodies are not asked for. */
  readonly bodyLimitBytes: number;
  /** Second that is counted now, and what it has had. */
  second: number;
  inSecond: number;
  bodiesDropped: number;
  batch: TapBatch;
}

/** The requests that somebody looks at; a data plane has one of these only while somebody does. */
export interface Taps {
  /** An exchange has ended. @param nowMs of the monotonic clock */
  see(x: Exchange, nowMs: number): void;
  /** Hands on what has come together, unless the last batch is still on its way. */
  flush(): void;
}

/** @param redacted lowercase names of headers whose values are not shown */
export function createTaps(specs: readonly TapSpec[], redacted: readonly string[], options: TapsOptions): Taps {
  const secret = new Set(redacted);
  const taps: OpenTap[] = specs.map(({ id, filter, live = false }) => ({
    id,
    direction: filter.direction,
    test: compileTapFilter(filter),
    shown: filter.showHeaders.length === 0 ? null : new Set(filter.showHeaders.map((name) => name.toLowerCase())),
    maxPerSecond: filter.maxPerSecond,
    live,
    bodyLimitBytes: filter.bodyLimitBytes ?? 0,
    second: 0,
    inSecond: 0,
    bodiesDropped: 0,
    batch: emptyBatch(),
  }));
  let events = 0;
  let liveEvents = 0;
  let characters = 0;
  let onTheWay = false;

  return {
    see(x, nowMs) {
      let base: ReturnType<typeof requestEvent> | null = null;
      for (const tap of taps) {
        // The other side of the same hop: not even worth a count.
        if (tap.direction !== '' && x.counter!.key.direction !== tap.direction) continue;
        if (tap.test !== null && !tap.test(x, nowMs - x.startedAtMs)) {
          tap.batch.filtered++;
          continue;
        }
        const full = tap.live ? liveEvents >= MOST_LIVE_EVENTS : events >= MOST_EVENTS;
        if (full || characters >= MOST_CHARACTERS || !mayPass(tap, nowMs)) {
          tap.batch.dropped++;
          continue;
        }
        base ??= requestEvent(x, { nowMs, wallMs: options.wallMs() });
        let event: CapturedEvent = base;
        if (tap.shown !== null) {
          event = {
            ...base,
            requestHeaders: shownHeaders(x.request.headers, tap.shown, secret),
            responseHeaders: shownHeaders(x.responseHeaders, tap.shown, secret),
          };
          for (const [name, value] of event.requestHeaders) characters += name.length + value.length;
          for (const [name, value] of event.responseHeaders) characters += name.length + value.length;
        }
        if (tap.bodyLimitBytes > 0 && x.capture !== null) {
          const captured = x.capture.bodies(x, tap.bodyLimitBytes);
          const bytes = captured.request.data.length + captured.response.data.length;
          if (characters + bytes > MOST_CHARACTERS) {
            // The request itself is told all the same.
            for (const body of [captured.request, captured.response]) {
              body.dropped ||= body.data.length > 0;
              body.data = new Uint8Array();
            }
          } else characters += bytes;
          if (captured.request.dropped || captured.response.dropped) tap.bodiesDropped++;
          event = { ...event, captured };
        }
        if (tap.live) liveEvents++;
        else events++;
        characters += event.path.length;
        tap.batch.events.push(event);
      }
    },
    flush() {
      if (onTheWay) return;
      const batches = [];
      for (const tap of taps) {
        const { batch } = tap;
        if (batch.events.length === 0 && batch.dropped === 0 && batch.filtered === 0) continue;
        if (tap.bodiesDropped > 0) batch.bodiesDropped = tap.bodiesDropped;
        tap.bodiesDropped = 0;
        batches.push({ tap: tap.id, batch });
        tap.batch = emptyBatch();
      }
      events = 0;
      liveEvents = 0;
      characters = 0;
      if (batches.length === 0) return;
      onTheWay = true;
      options.send(batches, () => {
        onTheWay = false;
      });
    },
  };
}

const emptyBatch = (): TapBatch => ({ events: [], dropped: 0, filtered: 0 });

function mayPass(tap: OpenTap, nowMs: number): boolean {
  if (tap.maxPerSecond <= 0) return true;
  const second = Math.floor(nowMs / 1_000);
  if (second !== tap.second) {
    tap.second = second;
    tap.inSecond = 0;
  }
  if (tap.inSecond >= tap.maxPerSecond) return false;
  tap.inSecond++;
  return true;
}
