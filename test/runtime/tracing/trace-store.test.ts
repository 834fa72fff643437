import { appendFileSync, existsSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Problem } from '../../../src/model/result.ts';
import type { TraceQuery } from '../../../src/model/trace.ts';
import { TraceStore, type TraceStoreOptions } from '../../../src/runtime/tracing/trace-store.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { BEGAN_MS, proxySpan, serviceSpan, TRACE_ID } from '../../support/spans.ts';

let base: string;
let directory: string;
let clock: FakeClock;
let problems: Problem[];
const stores: TraceStore[] = [];

beforeEach(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'mesh-traces-'));
  directory = path.join(base, 'traces');
  clock = new FakeClock();
  problems = [];
});
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
  await rm(base, { recursive: true, force: true });
});

function open(part: Partial<TraceStoreOptions> = {}): TraceStore {
  const store = new TraceStore({ directory, clock, onProblem: (problem) => problems.push(problem), ...part });
  stores.push(store);
  return store;
}

const ANY: TraceQuery = { service: '', errorsOnly: false, minDurationMs: 0, sinceMs: null, limit: 100 };
const id = (n: number) => n.toString(16).padStart(32, '0');
const ids = async (store: TraceStore, query: Partial<TraceQuery> = {}) =>
  (await store.query({ ...ANY, ...query })).map(({ traceId }) => Number.parseInt(traceId, 16));
const files = () => readdirSync(directory).sort();

describe('a store of traces', () => {
  it('makes one of what comes at several times from proxies and services', async () => {
    const store = open();
    store.addProxySpans([
      proxySpan({ side: 'gateway', service: 'gateway', instance: 'gateway', path: '/items/7?page=2', durationMs: 12 }),
    ]);
    await store.flush();
    const span = serviceSpan('b', '00f067aa0ba902b7', 1, 20, { status: { code: 2 } });
    store.addSpans([{ resource: { attributes: [{ key: 'service.name', value: { stringValue: 'api' } }] }, span }]);
    store.addLogs([{ log: { traceId: TRACE_ID, body: { stringValue: 'hello' } } }]);
    expect(await store.query(ANY)).toEqual([
      {
        traceId: TRACE_ID,
        time: new Date(BEGAN_MS).toISOString(),
        durationMs: 20,
        service: 'gateway',
        name: 'GET /items/7',
        services: ['api', 'gateway'],
        spans: 2,
        errors: 1,
      },
    ]);
    expect(await store.read(TRACE_ID)).toMatchObject({
      proxies: [{ durationMs: 12 }],
      spans: [{ span }],
      logs: [{ log: { traceId: TRACE_ID } }],
    });
    expect(await store.read(id(9))).toBeNull();
    expect(statSync(path.join(directory, files()[0])).mode & 0o777).toBe(0o600);
  });

  it('finds by service, failure, duration, time and number, the latest first', async () => {
    const store = open();
    store.addProxySpans([
      proxySpan({ traceId: id(1), startMs: BEGAN_MS, service: 'web', durationMs: 5 }),
      proxySpan({ traceId: id(2), startMs: BEGAN_MS + 1_000, service: 'api', status: 503, durationMs: 50 }),
      proxySpan({ traceId: id(3), startMs: BEGAN_MS + 2_000, service: 'web', durationMs: 500 }),
    ]);
    expect(await ids(store)).toEqual([3, 2, 1]);
    expect(await ids(store, { service: 'web' })).toEqual([3, 1]);
    expect(await ids(store, { errorsOnly: true })).toEqual([2]);
    expect(await ids(store, { minDurationMs: 50 })).toEqual([3, 2]);
    expect(await ids(store, { sinceMs: BEGAN_MS + 1_000 })).toEqual([3, 2]);
    expect(await ids(store, { limit: 1 })).toEqual([3]);
  });

  it('finds a trace by the beginning of its ID where that is enough', async () => {
    const store = open();
    store.addProxySpans([proxySpan({ traceId: `ab${'0'.repeat(30)}` }), proxySpan({ traceId: `ac${'0'.repeat(30)}` })]);
    expect(await store.find('AB')).toEqual({ ok: true, value: `ab${'0'.repeat(30)}` });
    expect(await store.find('a')).toMatchObject({ ok: false, problems: [{ code: 'MESH-R141' }] });
    expect(await store.find('')).toMatchObject({ ok: false, problems: [{ code: 'MESH-R141' }] });
    expect(await store.find('b')).toMatchObject({ ok: false, problems: [{ code: 'MESH-R140' }] });
  });

  it('writes by itself, and not for each span', async () => {
    const store = open();
    store.addProxySpans([proxySpan()]);
    await clock.advanceAsync(499);
    expect(existsSync(directory)).toBe(false);
    await clock.advanceAsync(1);
    await expect
      .poll(() => existsSync(directory) && statSync(path.join(directory, files()[0])).size)
      .toBeGreaterThan(100);
  });
});

describe('what a store finds at its start', () => {
  async function fill(count: number, part: Partial<TraceStoreOptions> = {}) {
    const store = open(part);
    for (let n = 1; n <= count; n++) {
      store.addProxySpans([proxySpan({ traceId: id(n), startMs: BEGAN_MS + n })]);
      await store.flush();
    }
    await store.close();
  }

  it('is what the run before left', async () => {
    await fill(3);
    const store = open();
    expect(await ids(store)).toEqual([3, 2, 1]);
    expect(await store.read(id(2))).toMatchObject({ proxies: [{ traceId: id(2) }] });
    store.addProxySpans([
      proxySpan({ traceId: id(2), spanId: 'b7ad6b7169203331', startMs: BEGAN_MS + 2 }),
      proxySpan({ traceId: id(4), startMs: BEGAN_MS + 4 }),
    ]);
    expect(await ids(store)).toEqual([4, 3, 2, 1]);
    expect((await store.read(id(2)))!.proxies).toHaveLength(2);
  });

  it.each<[string, (file: string) => void, number[]]>([
    ['a torn end', (file) => truncateSync(file, statSync(file).size - 7), [2, 1]],
    ['a torn head', (file) => appendFileSync(file, Buffer.from([9, 0])), [3, 2, 1]],
    ['a length beyond all reason', (file) => appendFileSync(file, Buffer.from('ffffffffffffffff', 'hex')), [3, 2, 1]],
    ['a damaged record', (file) => appendFileSync(file, Buffer.from('0200000000000000ffff', 'hex')), [3, 2, 1]],
    ['nothing', (file) => truncateSync(file, 0), []],
    ['something else', (file) => writeFileSync(file, 'not traces at all, but some text'), []],
  ])('is all before %s', async (_what, damage, left) => {
    await fill(3);
    damage(path.join(directory, files()[0]));
    const store = open();
    expect(await ids(store)).toEqual(left);
    store.addProxySpans([proxySpan({ traceId: id(9), startMs: BEGAN_MS + 9 })]);
    expect(await ids(store)).toEqual([9, ...left]);
    await store.close();
    // What was written behind it is there after another start.
    expect(await ids(open())).toEqual([9, ...left]);
  });

  it('keeps no more than allowed, the latest', async () => {
    const bounds = { segmentBytes: 1_000, maxBytes: 4_000 };
    await fill(40, bounds);
    const bytes = files().reduce((sum, file) => sum + statSync(path.join(directory, file)).size, 0);
    expect(bytes).toBeLessThanOrEqual(5_000);
    const kept = await ids(open(bounds));
    expect(kept.length).toBeGreaterThan(2);
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, at) => 40 - at));
    expect(await ids(open({ ...bounds, maxTraces: 2 }))).toHaveLength(2);
  });
});

describe('a disk that fails', () => {
  it('is told once, costs only what comes meanwhile, and is tried again', async () => {
    // A file where the directory should be, which stops root as well.
    writeFileSync(directory, '');
    const store = open();
    store.addProxySpans([proxySpan()]);
    await store.flush();
    store.addProxySpans([proxySpan(), proxySpan()]);
    await store.flush();
    expect(problems).toMatchObject([{ code: 'MESH-S101' }]);
    expect(store.dropped).toBe(3);
    expect(await store.query(ANY)).toEqual([]);
    await rm(directory);
    store.addProxySpans([proxySpan()]);
    await store.flush();
    expect(store.dropped).toBe(4);
    clock.jump(10_000);
    store.addProxySpans([proxySpan()]);
    expect(await store.query(ANY)).toHaveLength(1);
    expect(problems).toHaveLength(1);
  });

  it('does not let memory grow', () => {
    const store = open();
    for (let n = 0; n < 21; n++) store.addProxySpans(Array.from({ length: 1_000 }, () => proxySpan()));
    expect(store.dropped).toBe(1_000);
  });
});
