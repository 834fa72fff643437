import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { TapFilter } from '../../../src/model/events.ts';
import { feedLive, type LiveView } from '../../../src/runtime/client/live-feed.ts';
import type { ControlClient } from '../../../src/runtime/control/client.ts';
import { requestEvent, statRow } from '../../tui/data.ts';

const forever = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));

function setUp() {
  const calls: string[] = [];
  const shown: string[] = [];
  const client = {
    async *tap({ bodyLimitBytes }: TapFilter, signal: AbortSignal) {
      calls.push(bodyLimitBytes === 0 ? 'tap' : 'tap with bodies');
      yield { events: [requestEvent()], dropped: 3, filtered: 0 };
      await forever(signal);
      calls.push('tap ended');
    },
    async *watchStats(_: number, signal: AbortSignal) {
      calls.push('stats');
      yield [statRow()];
      await forever(signal);
      calls.push('stats ended');
    },
    trace: async (id: string) => {
      calls.push(`trace ${id}`);
      return id === 'kept' ? { ok: true, value: {} } : { ok: false, problems: [] };
    },
    certificates: async () => {
      calls.push('certificates');
      return [];
    },
    routes: async () => {
      calls.push('routes');
      throw new Error('the daemon is busy');
    },
  } as unknown as ControlClient;
  let look: Parameters<LiveView['onLook']>[0] = () => undefined;
  const abort = new AbortController();
  feedLive(
    client,
    {
      live: {
        events: (events, dropped) => void shown.push(`${events.length} events, ${dropped} dropped`),
        stats: (rows) => void shown.push(`${rows.length} stats`),
        tables: () => void shown.push('tables'),
        usage: () => undefined,
        trace: () => void shown.push('trace'),
      },
      onLook(listener) {
        look = listener;
        listener('services');
        return () => void calls.push('unlooked');
      },
    },
    () => null,
    abort.signal,
  );
  const settle = () => vi.advanceTimersByTimeAsync(0);
  return { calls, shown, look: (...seen: Parameters<typeof look>) => look(...seen), abort, settle };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('what the terminal view is fed with', () => {
  it('is bodies and a trace only while they are asked for', async () => {
    const { calls, shown, look, settle } = setUp();
    const traced = () => calls.filter((call) => call.startsWith('trace'));
    look('requests', { bodies: false, traceId: null });
    await settle();
    look('requests', { bodies: true, traceId: null });
    await settle();
    expect(calls.filter((call) => call.startsWith('tap'))).toEqual(['tap', 'tap with bodies', 'tap ended']);
    look('requests', { bodies: true, traceId: 'kept' });
    await settle();
    expect(shown).toContain('trace');
    expect(traced()).toEqual(['trace kept']);
    // Spans that come later are shown too.
    await vi.advanceTimersByTimeAsync(1_500);
    expect(traced()).toEqual(['trace kept', 'trace kept']);
    shown.length = 0;
    look('requests', { bodies: true, traceId: 'gone' });
    await settle();
    look('requests', { bodies: true, traceId: null });
    await vi.advanceTimersByTimeAsync(5_000);
    expect(traced()).toEqual(['trace kept', 'trace kept', 'trace gone']);
    expect(shown).not.toContain('trace');
    expect(calls.filter((call) => call === 'tap ended')).toHaveLength(1);
  });

  it('is a tap only while it is looked at, and a while after', async () => {
    const { calls, shown, look, abort, settle } = setUp();
    await settle();
    expect(calls).toEqual(['stats']);
    expect(shown).toEqual(['1 stats']);
    look('requests');
    await settle();
    expect(shown).toContain('1 events, 3 dropped');
    look('logs');
    await vi.advanceTimersByTimeAsync(20_000);
    look('requests');
    look('services');
    await vi.advanceTimersByTimeAsync(25_000);
    expect(calls.filter((call) => call === 'tap')).toHaveLength(1);
    expect(calls).not.toContain('tap ended');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(calls).toContain('tap ended');
    look('requests');
    await settle();
    expect(calls.filter((call) => call === 'tap')).toHaveLength(2);
    abort.abort();
    await settle();
    expect(calls.filter((call) => call === 'tap ended')).toHaveLength(2);
    expect(calls).toContain('stats ended');
    expect(calls).toContain('unlooked');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is the table that is looked at, again and again, whatever goes wrong', async () => {
    const { calls, shown, look, abort, settle } = setUp();
    look('certificates');
    await vi.advanceTimersByTimeAsync(4_100);
    expect(calls.filter((call) => call === 'certificates')).toHaveLength(3);
    expect(shown).toContain('tables');
    look('topology');
    await vi.advanceTimersByTimeAsync(4_100);
    expect(calls.filter((call) => call === 'routes')).toHaveLength(3);
    expect(calls.filter((call) => call === 'certificates')).toHaveLength(3);
    abort.abort();
    await settle();
    expect(vi.getTimerCount()).toBe(0);
  });
});
