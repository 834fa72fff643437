import { render } from 'ink-testing-library';
import { act } from 'react';
import { afterEach, describe, expect, it } from 'vitest';
import type { MeshStatus } from '../../src/model/status.ts';
import { App } from '../../src/tui/app.tsx';
import { createViewStore, type ViewStore } from '../../src/tui/store.ts';
import { shopStatus } from '../runtime/control/fake-mesh.ts';

const ARROW_FREE_WIDTH = 80;
const started = Date.parse('2026-11-20T10:00:00.500Z');

/** A store whose frames are drawn when the test says so. */
function manualStore(): { store: ViewStore; flush: () => void; frames: () => number } {
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
    flush() {
      const callback = pending;
      pending = null;
      if (callback === null) return;
      frames++;
      act(callback);
    },
  };
}

let view: ReturnType<typeof render> | null = null;
afterEach(() => {
  view?.unmount();
  view = null;
});

function show(store: ViewStore, size = { columns: ARROW_FREE_WIDTH, rows: 24 }, onInterrupt = () => undefined as void) {
  view = render(<App source={store} onInterrupt={onInterrupt} now={() => started + 3_000} {...size} />);
  return view;
}

const linesOf = (frame: string | undefined) => (frame ?? '').split('\n');

describe('the view of `mesh up`', () => {
  it('shows who waits for whom, how long others took, and how many are ready', () => {
    const { store, flush } = manualStore();
    const { lastFrame } = show(store);
    expect(lastFrame()).toContain('starting the mesh');
    store.status(shopStatus());
    flush();
    const lines = linesOf(lastFrame());
    expect(lines.find((line) => line.startsWith('inventory-1'))).toMatch(/ready\s+in 412 ms · port 3001/);
    expect(lines.find((line) => line.startsWith('orders-1'))).toMatch(/starting\s+waiting for inventory \(ready\)/);
    expect(lines.at(-1)).toMatch(/^1 of 2 ready\s+q stop/);
  });

  it('counts the time of what is starting', () => {
    const { store, flush } = manualStore();
    const { lastFrame } = show(store);
    const status = shopStatus();
    status.services[0].instances[0] = { ...status.services[0].instances[0], state: 'starting', readyAfterMs: null };
    store.status(status);
    flush();
    expect(lastFrame()).toMatch(/inventory-1 +starting +3\.0 s/);
  });

  it('ends with the URLs once everything is ready', () => {
    const { store, flush } = manualStore();
    const { lastFrame } = show(store);
    store.status({ ...shopStatus(), gateway: { http: 8080, https: 8443 } });
    store.ready(1_234);
    flush();
    expect(linesOf(lastFrame()).at(-1)).toContain('ready in 1.2 s  http://localhost:8080  https://shop.localhost:8443');
  });

  it('says what is in the way while it stops', () => {
    const { store, flush } = manualStore();
    const { lastFrame } = show(store);
    store.status(shopStatus());
    store.say('orders-1 (pid 12) ignores SIGTERM');
    flush();
    expect(linesOf(lastFrame()).at(-1)).toContain('orders-1 (pid 12) ignores SIGTERM');
  });

  it('shows log lines, notices, and the problems of a broken save with their place', () => {
    const { store, flush } = manualStore();
    const { lastFrame } = show(store);
    const broken: MeshStatus = shopStatus();
    const problem = { code: 'MESH-C203', message: 'unknown service `ordres`', file: '/a/mesh.config.ts', line: 12 };
    broken.config.problems = [problem];
    store.status(broken);
    store.logs([{ time: '', service: 'orders', instance: 'orders-1', stream: 'stdout', text: 'listening\ton 1' }]);
    store.notice({ level: 'error', service: '', text: 'mesh.config.ts was not applied', problems: [problem] });
    flush();
    expect(lastFrame()).toContain('orders-1 │ listening  on 1');
    expect(lastFrame()).toContain('mesh.config.ts was not applied');
    expect(lastFrame()).toContain('mesh.config.ts:12 unknown service `ordres`');
    expect(lastFrame()).toContain('last save not applied: 1 problem');
  });

  it('takes nothing from a service that would break the frame', () => {
    const { store, flush } = manualStore();
    const { lastFrame } = show(store);
    store.status(shopStatus());
    const text = 'a\u001b[2J\u001b[31mb\u001b]0;title\u0007c\u0000d\re';
    store.logs([{ time: '', service: 'orders', instance: 'orders-1', stream: 'stdout', text }]);
    flush();
    expect(lastFrame()).toContain('│ abcde');
    expect(lastFrame()).not.toContain('\u001b[2J');
  });

  it.each([
    { columns: 80, rows: 24 },
    { columns: 40, rows: 10 },
    { columns: 20, rows: 6 },
  ])('stays within $columns x $rows with many services and long lines', ({ columns, rows }) => {
    const { store, flush } = manualStore();
    const { lastFrame } = show(store, { columns, rows });
    const status = shopStatus();
    const [template] = status.services;
    for (let number = 0; number < 60; number++) {
      status.services.push({
        ...template,
        name: `service-${number}`,
        instances: [{ ...template.instances[0], id: `a-service-with-a-long-name-${number}-1` }],
      });
    }
    status.services[61].instances[0].state = 'failed';
    status.services[61].instances[0].reason = 'exited with code 1 '.repeat(10);
    store.status(status);
    store.logs(
      Array.from({ length: 100 }, (_, index) => ({
        time: '',
        service: 'orders',
        instance: 'orders-1',
        stream: 'stdout' as const,
        text: `${index} ${'wide '.repeat(50)}`,
      })),
    );
    flush();
    const lines = linesOf(lastFrame());
    expect(lines.length).toBeLessThan(Math.max(rows, 9));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours do not take room
    for (const line of lines) expect(line.replaceAll(/\u001b\[[0-9;]*m/g, '').length).toBeLessThanOrEqual(columns);
    // The one that failed is shown although most have no room.
    expect(lastFrame()).toContain('failed');
  });

  it('reads q and Ctrl-C as the wish to stop', async () => {
    const { store, flush } = manualStore();
    let interrupts = 0;
    const { stdin } = show(store, undefined, () => void interrupts++);
    store.status(shopStatus());
    flush();
    await new Promise((resolve) => setImmediate(resolve));
    stdin.write('x');
    stdin.write('q');
    stdin.write('\u0003');
    await new Promise((resolve) => setImmediate(resolve));
    expect(interrupts).toBe(2);
  });
});

describe('the store', () => {
  it('draws a flood of changes as one frame', () => {
    const { store, flush, frames } = manualStore();
    let notified = 0;
    store.subscribe(() => void notified++);
    for (let index = 0; index < 1_000; index++) store.status(shopStatus());
    flush();
    flush();
    expect(frames()).toBe(1);
    expect(notified).toBe(1);
  });

  it('keeps its snapshot between frames, as useSyncExternalStore demands', () => {
    const { store, flush } = manualStore();
    const before = store.getSnapshot();
    store.status(shopStatus());
    expect(store.getSnapshot()).toBe(before);
    flush();
    expect(store.getSnapshot()).not.toBe(before);
  });

  it('keeps a bounded number of lines, the last ones', () => {
    const { store } = manualStore();
    for (let index = 0; index < 2_000; index++) {
      store.logs([{ time: '', service: 'a', instance: 'a-1', stream: 'stdout', text: String(index) }]);
    }
    store.close();
    const { feed } = store.getSnapshot();
    expect(feed).toHaveLength(300);
    expect(feed.at(-1)?.text).toBe('1999');
  });
});
