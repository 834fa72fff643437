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
  wake: () => void;
}

/** Between the data planes and those who look at requests. */
export interface TapHub {
  /** Subscribed when this returns. */
  open(filter: TapFilter, signal: AbortSignal): AsyncIterable<TapBatch>;
  /** From a data plane. */
  deliver(batches: readonly { tap: number; batch: TapBatch }[]): void;
  specs(): TapSpec[];
}

/** @param onChange there is one more or one less */
export function createTapHub(onChange: () => void): TapHub {
  const taps = new Map<number, OpenTap>();
  let nextId = 1;
  return {
    open(filter, signal) {
      const tap: OpenTap = { spec: { id: nextId++, filter }, waiting: none(), characters: 0, wake: () => {} };
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
        take(tap, batch);
        tap.wake();
      }
    },
    specs: () => [...taps.values()].map(({ spec }) => spec),
  };
}

const none = (): TapBatch => ({ events: [], dropped: 0, filtered: 0 });

function take(tap: OpenTap, { events, dropped, filtered }: TapBatch): void {
  const { waiting } = tap;
  waiting.dropped += dropped;
  waiting.filtered += filtered;
  for (const event of events) {
    if (waiting.events.length >= MOST_WAITING || tap.characters >= MOST_WAITING_CHARACTERS) {
      waiting.dropped++;
      continue;
    }
    tap.characters += event.path.length;
    for (const [name, value] of event.requestHeaders) tap.characters += name.length + value.length;
    for (const [name, value] of event.responseHeaders) tap.characters += name.length + value.length;
    waiting.events.push(event);
  }
}

async function* read(tap: OpenTap, signal: AbortSignal, close: () => void): AsyncGenerator<TapBatch> {
  try {
    while (!signal.aborted) {
      const { events, dropped, filtered } = tap.waiting;
      if (events.length === 0 && dropped === 0 && filtered === 0) {
        await new Promise<void>((resolve) => {
          tap.wake = resolve;
        });
        continue;
      }
      tap.waiting = none();
      tap.characters = 0;
      for (let at = 0; at === 0 || at < events.length; at += MOST_IN_BATCH) {
        if (signal.aborted) return;
        const first = at === 0;
        yield {
          events: events.slice(at, at + MOST_IN_BATCH),
          dropped: first ? dropped : 0,
          filtered: first ? filtered : 0,
        };
      }
    }
  } finally {
    close();
  }
}
