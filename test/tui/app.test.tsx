import { render } from 'ink-testing-library';
import { afterEach, describe, expect, it } from 'vitest';
import { stringAttribute } from '../../src/model/otlp.ts';
import type { MeshStatus } from '../../src/model/status.ts';
import { displayWidth } from '../../src/model/text.ts';
import { traceOfEvents } from '../../src/model/trace-of-events.ts';
import { App } from '../../src/tui/app.tsx';
import { createViewStore, LOG_LINES, type ViewStore } from '../../src/tui/store.ts';
import { createUi, type Wants } from '../../src/tui/ui.ts';
import { type Effect, VIEW_IDS } from '../../src/tui/ui-state.ts';
import { ordersCertificate, shopStatus } from '../runtime/control/fake-mesh.ts';
import { requestEvent, statRow, TRACE } from './data.ts';

const NOW = Date.parse('2026-11-20T10:00:03.500Z');
const STANDARD = { columns: 80, rows: 24 };
const SIZES = [STANDARD, { columns: 40, rows: 12 }, { columns: 200, rows: 50 }];

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A store whose frames are drawn when the test says so. */
function manualStore(): { store: ViewStore; flush: () => Promise<void>; frames: () => number } {
  let pending: (() => void) | null = null;
  let frames = 0;
  const store = createViewStore(
    (callback) => {
      pending = callback;
      return 1;
    },
    () => {
      pending = null;
    },
  );
  return {
    store,
    frames: () => frames,
    async flush() {
      const callback = pending;
      pending = null;
      if (callback === null) return;
      frames++;
      (callback as () => void)();
      await turn();
    },
  };
}

let view: ReturnType<typeof render> | null = null;
afterEach(() => {
  view?.unmount();
  view = null;
});

interface Shown {
  effects: Effect[];
  frame(): string;
  wants(): Wants;
  lines(): string[];
  /** Each on its own, as they come from a terminal. */
  type(...keys: string[]): Promise<void>;
}

function show(store: ViewStore, size = STANDARD, options: { colours?: boolean; quit?: 'stop' | 'quit' } = {}): Shown {
  const effects: Effect[] = [];
  const ui = createUi(store, { quit: options.quit ?? 'stop' });
  view = render(
    <App
      source={store}
      ui={ui}
      onEffect={(effect) => void effects.push(effect)}
      colours={options.colours ?? true}
      now={() => NOW}
      {...size}
    />,
  );
  const shown = view;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours do not take room
  const frame = () => (shown.lastFrame() ?? '').replaceAll(/\u001b\[[0-9;]*m/g, '');
  return {
    effects,
    frame,
    wants: () => ui.wants(NOW),
    lines: () => frame().split('\n'),
    async type(...keys) {
      await turn();
      for (const key of keys) {
        shown.stdin.write(key);
        await turn();
      }
    },
  };
}

/** A mesh with some of everything. */
function busyStore() {
  const manual = manualStore();
  const { store } = manual;
  const status = shopStatus();
  status.services[1].instances[0] = { ...status.services[1].instances[0], state: 'ready', pid: 12, readyAfterMs: 90 };
  store.status(status);
  store.stats([
    statRow({
      source: 'gateway',
      destination: 'orders',
      route: 'api',
      gatewayRoute: 'api',
      requestsPerSecond: 12.5,
      p99Ms: 48,
    }),
    statRow({ source: 'orders', destination: 'inventory', route: 'split', successRate: 0.9, failures: 10, tls: false }),
  ]);
  store.usage(new Map([['orders-1', { cpu: 0.25, memoryBytes: 50 * 1024 * 1024 }]]));
  store.events([requestEvent({ source: 'gateway', id: '1', route: 'gateway-1' })], 0);
  store.events(
    [
      requestEvent({
        source: 'orders',
        destination: 'inventory',
        id: '2',
        status: 503,
        responseFlags: 'UH',
        retries: 2,
        parentSpanId: '1',
      }),
    ],
    7,
  );
  store.logs([
    {
      time: '2026-11-20T10:00:01.000Z',
      service: 'orders',
      instance: 'orders-1',
      stream: 'stdout',
      text: '{"level":50,"msg":"no stock","sku":"KETTLE"}',
    },
    {
      time: '2026-11-20T10:00:00.900Z',
      service: 'inventory',
      instance: 'inventory-1',
      stream: 'stdout',
      text: 'listening',
    },
  ]);
  store.tables({
    routes: [
      {
        table: 'orders',
        name: 'api',
        source: 'mesh.config.ts:9',
        hosts: [],
        matches: ['path prefix /api'],
        backends: [
          { service: 'orders', subset: null, weight: 3, share: 0.75 },
          { service: 'inventory', subset: null, weight: 1, share: 0.25 },
        ],
        timeoutMs: 15_000,
        retries: 2,
      },
      {
        table: 'gateway',
        name: 'api',
        source: '',
        hosts: [],
        matches: ['everything'],
        backends: [{ service: 'orders', subset: null, weight: 1, share: 1 }],
        timeoutMs: 0,
        retries: 0,
      },
    ],
    certificates: [ordersCertificate],
  });
  return { ...manual, status };
}

describe('the services', () => {
  it('show who waits for whom and how many are ready', async () => {
    const { store, flush } = manualStore();
    const { frame, lines } = show(store);
    expect(frame()).toContain('starting the mesh');
    store.status(shopStatus());
    await flush();
    expect(lines().find((line) => line.includes('orders '))).toMatch(
      /orders +starting +0\/1 +waiting for inventory \(ready\)/,
    );
    expect(lines().at(-2)).toMatch(/^1 of 2 ready/);
    expect(lines().at(-1)).toMatch(/q stop$/);
  });

  it('count the time of what is starting', async () => {
    const { store, flush } = manualStore();
    const { frame } = show(store);
    const status = shopStatus();
    status.services[0].instances[0] = { ...status.services[0].instances[0], state: 'starting', readyAfterMs: null };
    store.status(status);
    await flush();
    expect(frame()).toMatch(/inventory +starting +0\/1 +3\.0s/);
  });

  it('end with the URLs once everything is ready', async () => {
    const { store, flush } = manualStore();
    const { frame } = show(store);
    store.status({ ...shopStatus(), gateway: { http: 8080, https: 8443 } });
    store.ready(1_234);
    await flush();
    expect(frame()).toContain('ready in 1.2s  http://localhost:8080  https://shop.localhost:8443');
  });

  it('say what is in the way while the mesh stops, even to who paused', async () => {
    const { store, flush } = manualStore();
    const { lines, type } = show(store);
    store.status(shopStatus());
    await flush();
    await type('p');
    store.say('orders-1 (pid 12) ignores SIGTERM');
    await flush();
    expect(lines().at(-2)).toContain('orders-1 (pid 12) ignores SIGTERM');
  });

  it('show the figures', async () => {
    const { store, flush } = busyStore();
    const { frame } = show(store, { columns: 120, rows: 24 });
    await flush();
    expect(frame()).toMatch(/SERVICE +STATE +UP +RST +REQ\/S +OK +P50 +P95 +P99 +ACT +CPU +MEM +TREND/);
    expect(frame()).toMatch(/orders +ready +1\/1 +2 +12\.5 +100 % +2\.0ms +10ms +48ms +1 +25 % +50Mi/);
    expect(frame()).toMatch(/inventory +ready +1\/1 +0 +10\.0 +90 %/);
    expect(frame()).toContain('█');
  });

  it('show one in full', async () => {
    const { store, flush } = busyStore();
    const { frame, type } = show(store, { columns: 100, rows: 50 });
    await flush();
    await type('j', '\r');
    expect(frame()).toMatch(/process +pid 12, up/);
    expect(frame()).toContain('from gateway');
    expect(frame()).toContain('spiffe://shop.local/ns/default/sa/orders');
    expect(frame()).toContain('no stock  sku=KETTLE');
    await type('\u001b');
    expect(frame()).toContain('> orders');
  });

  it('show notices, and the problems of a broken save with their place', async () => {
    const { store, flush } = manualStore();
    const { frame, lines, type } = show(store);
    const broken: MeshStatus = shopStatus();
    const problem = {
      code: 'MESH-C203',
      message: 'unknown service `ordres`',
      hint: 'did you mean `orders`?',
      file: '/a/mesh.config.ts',
      line: 12,
    };
    broken.config.problems = [problem];
    store.status(broken);
    store.notice({ level: 'error', service: '', text: 'mesh.config.ts was not applied', problems: [problem] });
    await flush();
    expect(frame()).toContain('mesh.config.ts was not applied');
    expect(frame()).toContain('mesh.config.ts:12 unknown service `ordres`');
    expect(lines()[0]).toContain('last save not applied: 1 problem');
    await type('7');
    expect(frame()).toContain('not applied: 1 error');
    expect(frame()).toContain('mesh.config.ts:12 unknown service `ordres`');
    expect(frame()).toContain('did you mean `orders`?');
    await type('\r');
    expect(frame()).toContain('mesh validate --explain MESH-C203');
  });
});

describe('the other views', () => {
  it('list requests, and show one in full with its trace', async () => {
    const { store, flush } = busyStore();
    const { frame, type } = show(store, { columns: 100, rows: 50 });
    await flush();
    await type('2');
    expect(frame()).toContain('2 requests, live, 7 not shown');
    expect(frame()).toMatch(/> [\d:.]+ +orders → inventory +GET +\/list\?page=1 +503 +12ms +UH R2/);
    await type('k', '\r');
    expect(frame()).toMatch(/TLS peer +spiffe:\/\/shop\.local/);
    expect(frame()).toMatch(/first byte +11ms +━+/);
    expect(frame()).toContain('Trace, as far as it was seen here');
    expect(frame()).toMatch(/▸ gateway GET \/list → orders +12ms █+/);
    expect(frame()).toMatch(/ {2}orders +GET \/list → inventory {2}✗ 503 UH +12ms █+/);
    expect(frame()).toContain('not captured; b captures those of the requests to come');
  });

  it('show the trace that the mesh keeps, with the spans of services and what they said', async () => {
    const { store, flush } = busyStore();
    const { frame, type } = show(store, { columns: 100, rows: 50 });
    await flush();
    await type('2', 'k', '\r');
    const [proxies] = traceOfEvents(TRACE, [requestEvent({ id: '1', source: 'gateway' })]).resourceSpans;
    const startNano = String(Date.parse('2026-11-20T10:00:01.502Z') * 1e6);
    const own = {
      resource: { attributes: [stringAttribute('service.name', 'orders')] },
      scopeSpans: [
        {
          spans: [
            {
              traceId: TRACE,
              spanId: 'own',
              parentSpanId: '1',
              name: 'SELECT \u001b]0;evil\u0007',
              startTimeUnixNano: startNano,
              endTimeUnixNano: startNano,
              events: [{ name: 'cache miss', timeUnixNano: startNano }],
            },
          ],
        },
      ],
    };
    store.trace({ traceId: TRACE, resourceSpans: [proxies, own], resourceLogs: [], cuts: [] });
    await flush();
    expect(frame()).toMatch(/^Trace$/m);
    expect(frame()).toMatch(/▸ gateway GET \/list → orders/);
    expect(frame()).toContain('orders   SELECT ␛]0;evil␇');
    expect(frame()).toContain('· 2.0ms cache miss');
    expect(frame()).not.toContain('\u001b]0');
  });

  it('ask for bodies with b, and show them without anything that a terminal would obey', async () => {
    const { store, flush } = busyStore();
    const { frame, type, wants } = show(store, { columns: 80, rows: 60 });
    await flush();
    await type('b');
    expect(wants()).toEqual({ bodies: false, traceId: null });
    await type('2', 'b');
    expect(frame()).toContain('2 requests, live, with bodies');
    expect(wants()).toEqual({ bodies: true, traceId: null });
    const body = { contentType: 'application/json', encoding: '', bytes: 30, truncated: false, note: '' };
    store.events(
      [
        requestEvent({
          id: '9',
          requestBody: { ...body, text: '{"a":"\u001b[2J","n":[1]}' },
          responseBody: { ...body, contentType: 'image/png', base64: 'AAEC', note: 'cut' },
        }),
      ],
      0,
    );
    await flush();
    await type('\r');
    expect(wants()).toEqual({ bodies: true, traceId: TRACE });
    expect(frame()).toContain('Request body: application/json, 30 bytes');
    expect(frame()).toContain('    "a": "␛[2J",\n    "n": [\n      1\n    ]');
    expect(frame()).toMatch(/Response body: image\/png, 30 bytes\n {2}0000 {2}00 01 02 +\.\.\.\n {2}\(cut\)/);
    await type('\u001b', 'k', '\r');
    expect(frame()).toContain('not captured: it began before they were asked for');
  });

  it('keep the request that is looked at when the list has lost it', async () => {
    const { store, flush } = busyStore();
    const { frame, type } = show(store);
    await flush();
    await type('2', 'g', '\r');
    for (let index = 0; index < 1_100; index++)
      store.events([requestEvent({ id: `later-${index}`, path: '/later' })], 0);
    await flush();
    expect(frame()).toMatch(/path +\/list\?page=1/);
    expect(frame()).toMatch(/from +gateway/);
  });

  it('draw wanted beside observed weights, and the graph of calls with its locks', async () => {
    const { store, flush } = busyStore();
    store.events([requestEvent({ id: '3', source: 'gateway', route: 'api' })], 0);
    const { frame, type } = show(store, { columns: 160, rows: 30 });
    await flush();
    await type('3');
    expect(frame()).toMatch(/orders +api +path prefix \/api +12\.5/);
    expect(frame()).toContain('orders 75 % inventory 25 %');
    expect(frame()).toContain('███████▓▓▓ ██████████');
    await type('\r');
    expect(frame()).toMatch(/wanted +75 %/);
    expect(frame()).toMatch(/seen +100 %/);
    await type('\u001b', 'j', '\r');
    expect(frame()).toMatch(/requests +12\.5\/s, 100 % ok/);
    expect(frame()).toContain('they go on by the routes of orders, where they are seen too');
    await type('4');
    expect(frame()).toMatch(/gateway\n? *.*\n.*└─▸ orders +mTLS +12\.5/);
    expect(frame()).toMatch(/└─▸ inventory +plain +10\.0 +90 % +10/);
  });

  it('merge logs by time, by level and by service', async () => {
    const { store, flush } = busyStore();
    const { frame, lines, type } = show(store);
    await flush();
    await type('5');
    const at = (text: string) => lines().findIndex((line) => line.includes(text));
    expect(at('listening')).toBeLessThan(at('no stock'));
    await type('v', 'v');
    expect(frame()).toContain('1 of 2 lines, warn and worse');
    expect(frame()).not.toContain('listening');
    await type('\r');
    expect(frame()).toContain('"sku": "KETTLE"');
    await type('\u001b', 'v', 'v', '1', 'g', 'l');
    expect(frame()).toContain('/service:inventory');
    expect(frame()).not.toContain('no stock');
  });

  it('count down to the end of certificates', async () => {
    const { store, flush } = busyStore();
    const { frame, type } = show(store);
    await flush();
    await type('6');
    expect(frame()).toMatch(/orders +23h59m +█+ +spiffe:\/\/shop/);
  });

  it('say why there is nothing', async () => {
    const { store, flush } = manualStore();
    const { frame, type } = show(store);
    store.status(shopStatus());
    await flush();
    await type('2');
    expect(frame()).toContain('no request came since this view was opened');
    await type('1', '/', 'x', 'x', 'x');
    expect(frame()).toContain('the filter leaves none of 2; Esc clears it');
    expect(frame()).toContain('/xxx');
  });
});

describe('the frame', () => {
  it.each(SIZES)('stays within $columns x $rows in every view, with much of everything', async (size) => {
    const { store, flush, status } = busyStore();
    const [template] = status.services;
    for (let number = 0; number < 60; number++) {
      status.services.push({
        ...template,
        name: `service-with-a-long-name-${number}`,
        instances: [{ ...template.instances[0], id: `service-with-a-long-name-${number}-1` }],
      });
    }
    status.services[61].instances[0].state = 'failed';
    status.services[61].instances[0].reason = 'exited with code 1 '.repeat(10);
    status.config.problems = Array.from({ length: 30 }, (_, index) => ({
      code: 'MESH-C203',
      message: `long ${'message '.repeat(30)}`,
      hint: '日本語'.repeat(40),
      file: '/a/mesh.config.ts',
      line: index + 1,
    }));
    store.status(status);
    for (let index = 0; index < 200; index++) {
      store.events(
        [
          requestEvent({
            id: `e${index}`,
            path: `/${'長い'.repeat(100)}`,
            requestHeaders: [['x-long', 'v'.repeat(500)]],
          }),
        ],
        0,
      );
      store.logs([
        { time: '', service: 'orders', instance: 'orders-1', stream: 'stdout', text: `${index} ${'wide '.repeat(50)}` },
      ]);
    }
    await flush();
    const { lines, type } = show(store, size);
    for (const [index, id] of VIEW_IDS.entries()) {
      for (const keys of [[String(index + 1)], ['\r'], ['G'], ['\u001b', '?'], ['?', '/', 'a'], ['\u001b']]) {
        await type(...keys);
        expect(lines().length, `${id} ${keys}`).toBeLessThanOrEqual(size.rows);
        for (const line of lines())
          expect(displayWidth(line), `${id} ${keys} ${line}`).toBeLessThanOrEqual(size.columns);
      }
    }
  });

  it('takes nothing from a service or a client that would break it', async () => {
    const { store, flush } = manualStore();
    show(store);
    store.status(shopStatus());
    const hostile = 'a\u001b[2J\u001b[31mb\u001b]0;title\u0007c\u0000d\re\u202ef';
    store.logs([{ time: '', service: 'orders', instance: 'orders-1', stream: 'stdout', text: hostile }]);
    store.events(
      [requestEvent({ path: hostile, method: hostile, authority: hostile, requestHeaders: [[hostile, hostile]] })],
      0,
    );
    await flush();
    await turn();
    for (const key of ['2', '\r', 'G']) {
      view!.stdin.write(key);
      await turn();
      // biome-ignore lint/suspicious/noControlCharactersInRegex: only colours may be there
      const rest = (view!.lastFrame() ?? '').replaceAll(/\u001b\[[0-9;]*m/g, '');
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
      expect(rest).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
      expect(view!.lastFrame()).not.toContain('\u001b[31mb');
    }
  });

  it('can be read without colours: the view in brackets, the row behind a sign', async () => {
    const { store, flush } = busyStore();
    const { lines, type } = show(store, STANDARD, { colours: false });
    await flush();
    await type('j');
    expect(lines()[1]).toMatch(/^\[1 Services\] /);
    expect(lines().filter((line) => line.startsWith('> '))).toHaveLength(1);
  });

  it('stands still while paused, and goes on with what came meanwhile', async () => {
    const { store, flush } = busyStore();
    const { frame, type } = show(store);
    await flush();
    await type('5', 'p');
    store.logs([
      {
        time: '2026-11-20T10:00:02.000Z',
        service: 'orders',
        instance: 'orders-1',
        stream: 'stdout',
        text: 'meanwhile',
      },
    ]);
    await flush();
    expect(frame()).toContain('PAUSED');
    expect(frame()).not.toContain('meanwhile');
    await type('p');
    expect(frame()).toContain('meanwhile');
  });

  it('shows every key on request', async () => {
    const { store, flush } = busyStore();
    const { frame, type } = show(store, STANDARD, { quit: 'quit' });
    await flush();
    await type('?');
    for (const key of ['j k', 'Enter', 'PgUp', '>100ms', 'leave; the mesh runs on']) expect(frame()).toContain(key);
    await type('?');
    expect(frame()).toContain('SERVICE');
  });
});

describe('keys', () => {
  it('q and Ctrl-C are the wish to stop; several at once count each', async () => {
    const { store, flush } = busyStore();
    const { effects, frame, type } = show(store);
    await flush();
    await type('z', 'q', '\u0003');
    expect(effects).toEqual([{ kind: 'interrupt' }, { kind: 'interrupt' }]);
    await type('?', '\u001b2kk');
    expect(frame()).toContain('Esc to follow');
    await type('1', '/ord\r');
    expect(frame()).toContain('> orders');
    expect(frame()).not.toContain('> inventory');
  });

  it('act on the service that is selected', async () => {
    const { store, flush } = busyStore();
    const { effects, frame, type } = show(store);
    await flush();
    await type('\u001b[B', 'r', 'x');
    expect(frame()).toContain('stop orders?');
    await type('y', 'e');
    expect(effects).toEqual([
      { kind: 'operate', action: 'restart', service: 'orders' },
      { kind: 'operate', action: 'stop', service: 'orders' },
      { kind: 'edit', service: 'orders', place: null },
    ]);
  });
});

describe('the store', () => {
  it('draws a flood of changes as one frame', async () => {
    const { store, flush, frames } = manualStore();
    let notified = 0;
    store.subscribe(() => void notified++);
    for (let index = 0; index < 1_000; index++) store.status(shopStatus());
    await flush();
    await flush();
    expect(frames()).toBe(1);
    expect(notified).toBe(1);
  });

  it('keeps its snapshot between frames, as useSyncExternalStore demands', async () => {
    const { store, flush } = manualStore();
    const before = store.getSnapshot();
    store.status(shopStatus());
    expect(store.getSnapshot()).toBe(before);
    await flush();
    expect(store.getSnapshot()).not.toBe(before);
  });

  it('keeps a bounded number of everything, the last ones', async () => {
    const { store } = manualStore();
    store.status(shopStatus());
    for (let index = 0; index < 3_000; index++) {
      store.logs([
        { time: '', service: 'a', instance: 'a-1', stream: 'stdout', text: `${index} ${'x'.repeat(100_000)}` },
      ]);
      store.events([requestEvent({ id: String(index), path: 'p'.repeat(10_000) })], 0);
      store.stats([statRow({ destination: 'orders' }), statRow({ destination: `gone-${index}` })]);
    }
    store.close();
    const { log, events, history } = store.getSnapshot();
    expect(log).toHaveLength(LOG_LINES);
    expect(log.at(-1)?.text).toMatch(/^2999 x+…$/);
    expect(log.at(-1)?.text.length).toBeLessThan(5_000);
    expect(events).toHaveLength(1_000);
    expect(events[0].path.length).toBeLessThan(2_100);
    expect(history.get('orders')).toHaveLength(60);
    expect(history.size).toBe(3);
  });
});
