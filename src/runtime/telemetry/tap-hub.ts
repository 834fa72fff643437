import type { CapturedEvent } from '../../model/bodies.ts';
import type { TapBatch, TapFilter } from '../../model/events.ts';
import type { TapSpec } from '../../proxy/channel.ts';

/** Events that wait for a client that does not read; more are counted and dropped. */
const MOST_WAITING = 10_000;
/** The same in characters, roughly, for events with many or long headers. */
const MOST_WAITING_CHARACTERS = 16 * 1024 * 1024;
/** Events of one message to a client. */
const MOST_IN_BATCH = 500;

interface OpenTap {
  readonly spec: TapSpec;
  waiting: TapBatch;
  characters: number;
  readonly ownDrops: boolean;
  wake: () => void;
}

/** Between the data planes and those who look at requests. */
export interface TapHub {
  /** Requests that taps without a limit of their own asked for and did not get, since the start. */
  readonly dropped: number;
  /**
   * Subscribed when this returns.
   * @param ownDrops the subscriber keeps a record: it counts them, and reads what waits when the signal aborts
   */
  open(filter: TapFilter, signal: AbortSignal, ownDrops?: boolean): AsyncIterable<TapBatch>;
  /** From a data plane. */
  deliver(batches: readonly { tap: number; batch: TapBatch }[]): void;
  specs(): TapSpec[];
}

/** @param onChange there is one more or one less */
export function createTapHub(onChange: () => void): TapHub {
  const taps = new Map<number, OpenTap>();
  let nextId = 1;
  let droppedInAll = 0;
  return {
    get dropped() {
      return droppedInAll;
    },
    open(filter, signal, ownDrops = false) {
      const spec: TapSpec = { id: nextId++, filter, live: !ownDrops };
      const tap: OpenTap = { spec, waiting: none(), characters: 0, ownDrops, wake: () => {} };
      const close = () => {
        if (taps.delete(tap.spec.id)) onChange();
        tap.wake();
      };
      if (!signal.aborted) {
        taps.set(tap.spec.id, tap);
        onChange();
        signal.addEventListener('abort', close, { once: true });
      }
      return read(tap, signal, () => {
        signal.removeEventListener('abort', close);
        close();
      });
    },
    deliver(batches) {
      for (const { tap: id, batch } of batches) {
        const tap = taps.get(id);
        if (tap === undefined) continue;
        const before = tap.waiting.dropped;
        take(tap, batch);
        // What a tap left out because it was told to is nothing to worry about.
        if (!tap.ownDrops && tap.spec.filter.maxPerSecond === 0) droppedInAll += tap.waiting.dropped - before;
        tap.wake();
      }
    },
    specs: () => [...taps.values()].map(({ spec }) => spec),
  };
}

const none = (): TapBatch => ({ events: [], dropped: 0, filtered: 0 });

function take(tap: OpenTap, { events, dropped, filtered, bodiesDropped = 0 }: TapBatch): void {
  const { waiting } = tap;
  waiting.dropped += dropped;
  waiting.filtered += filtered;
  if (bodiesDropped > 0) waiting.bodiesDropped = (waiting.bodiesDropped ?? 0) + bodiesDropped;
  for (const event of events) {
    if (waiting.events.length >= MOST_WAITING || tap.characters >= MOST_WAITING_CHARACTERS) {
      waiting.dropped++;
      continue;
    }
    tap.characters += event.path.length;
    for (const [name, value] of event.requestHeaders) tap.characters += name.length + value.length;
    for (const [name, value] of event.responseHeaders) tap.characters += name.length + value.length;
    const { captured }: CapturedEvent = event;
    if (captured !== undefined) tap.characters += captured.request.data.length + captured.response.data.length;
    waiting.events.push(event);
  }
}

async function* read(tap: OpenTap, signal: AbortSignal, close: () => void): AsyncGenerator<TapBatch> {
  try {
    while (!signal.aborted || (tap.ownDrops && tap.waiting.events.length > 0)) {
      const { events, dropped, filtered, bodiesDropped } = tap.waiting;
      if (events.length === 0 && dropped === 0 && filtered === 0) {
        await new Promise<void>((resolve) => {
          tap.wake = resolve;
        });
        continue;
      }
      tap.waiting = none();
      tap.characters = 0;
      for (let at = 0; at === 0 || at < events.length; at += MOST_IN_BATCH) {
        if (signal.aborted && !tap.ownDrops) return;
        const first = at === 0;
        yield {
          events: events.slice(at, at + MOST_IN_BATCH),
          dropped: first ? dropped : 0,
          filtered: first ? filtered : 0,
          ...(first && bodiesDropped !== undefined ? { bodiesDropped } : {}),
        };
      }
    }
  } finally {
    close();
  }
}
