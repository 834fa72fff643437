import { describe, expect, it } from 'vitest';
import { ANY_REQUEST, type TapBatch } from '../../../src/model/events.ts';
import { createTapHub } from '../../../src/runtime/telemetry/tap-hub.ts';
import { requestEvent } from '../control/fake-mesh.ts';

const batch = (n: number, part: Partial<TapBatch> = {}): TapBatch => ({
  events: Array.from({ length: n }, (_, i) => requestEvent({ id: String(i) })),
  dropped: 0,
  filtered: 0,
  ...part,
});

describe('taps in the daemon', () => {
  it('are told to the data planes from the call until the end', async () => {
    const known: number[][] = [];
    const hub = createTapHub(() => known.push(hub.specs().map(({ id }) => id)));
    const abort = new AbortController();
    const first = hub.open(ANY_REQUEST, abort.signal);
    const second = hub.open({ ...ANY_REQUEST, to: 'orders' }, new AbortController().signal);
    expect(known).toEqual([[1], [1, 2]]);
    expect(hub.specs()[1].filter.to).toBe('orders');
    abort.abort();
    expect(known.at(-1)).toEqual([2]);
    expect(await first[Symbol.asyncIterator]().next()).toMatchObject({ done: true });
    const reading = second[Symbol.asyncIterator]();
    hub.deliver([{ tap: 2, batch: batch(1) }]);
    await reading.next();
    await reading.return?.(undefined);
    expect(known.at(-1)).toEqual([]);
  });

  it('do not begin with a signal that has ended', async () => {
    const hub = createTapHub(() => {});
    const tap = hub.open(ANY_REQUEST, AbortSignal.abort());
    expect(hub.specs()).toEqual([]);
    expect(await tap[Symbol.asyncIterator]().next()).toMatchObject({ done: true });
  });

  it('get their own events, in order, however slowly they read', async () => {
    const hub = createTapHub(() => {});
    const abort = new AbortController();
    const a = hub.open(ANY_REQUEST, abort.signal)[Symbol.asyncIterator]();
    const b = hub.open(ANY_REQUEST, abort.signal)[Symbol.asyncIterator]();
    hub.deliver([{ tap: 1, batch: batch(600, { dropped: 2, filtered: 3 }) }]);
    hub.deliver([
      { tap: 1, batch: batch(1, { dropped: 1 }) },
      { tap: 9, batch: batch(1) },
    ]);
    const first = (await a.next()).value as TapBatch;
    const second = (await a.next()).value as TapBatch;
    expect(first).toMatchObject({ dropped: 3, filtered: 3, events: { length: 500 } });
    expect(second).toMatchObject({ dropped: 0, filtered: 0, events: { length: 101 } });
    expect(second.events[0].id).toBe('500');
    const pending = b.next();
    hub.deliver([{ tap: 2, batch: batch(0, { filtered: 7 }) }]);
    expect((await pending).value).toEqual({ events: [], dropped: 0, filtered: 7 });
    const last = b.next();
    abort.abort();
    expect(await last).toMatchObject({ done: true });
  });

  it('drop and count what a client does not read', async () => {
    const hub = createTapHub(() => {});
    const tap = hub.open(ANY_REQUEST, new AbortController().signal)[Symbol.asyncIterator]();
    for (let i = 0; i < 30; i++) hub.deliver([{ tap: 1, batch: batch(500) }]);
    const { dropped } = (await tap.next()).value as TapBatch;
    expect(dropped).toBe(5_000);
    await tap.return?.(undefined);
    const heavy = hub.open(ANY_REQUEST, new AbortController().signal)[Symbol.asyncIterator]();
    const long = requestEvent({ requestHeaders: [['x', 'v'.repeat(1024 * 1024)]] });
    for (let i = 0; i < 40; i++) hub.deliver([{ tap: 2, batch: { events: [long], dropped: 0, filtered: 0 } }]);
    expect(((await heavy.next()).value as TapBatch).dropped).toBeGreaterThan(20);
  });
});
