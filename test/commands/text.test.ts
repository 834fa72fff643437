import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MeshStatus } from '../../src/model/status.ts';
import { truncate } from '../../src/model/text.ts';
import { knownRoute, knownServices, parseLogQuery, parseScale } from '../../src/runtime/client/arguments.ts';
import { createLogFormat, printable } from '../../src/runtime/client/log-view.ts';
import { readinessOf } from '../../src/runtime/client/readiness.ts';
import { renderProblem } from '../../src/runtime/client/render-problems.ts';
import { progressBetween } from '../../src/runtime/client/startup-progress.ts';
import { coloursWanted, createStyle, isInteractive } from '../../src/runtime/client/style.ts';
import { renderCertificates, renderEndpoints, renderRoutes, renderStatus } from '../../src/runtime/client/tables.ts';
import { formatMs, parseDuration, table, width } from '../../src/runtime/client/text.ts';
import { readyLine } from '../../src/runtime/client/urls.ts';
import { fakeMesh, ordersCertificate, shopStatus } from '../runtime/control/fake-mesh.ts';

const style = createStyle(false);

describe('colours', () => {
  it.each([
    [{ NO_COLOR: '1', CLICOLOR_FORCE: '1' }, true, false],
    [{ NO_COLOR: '' }, true, true],
    [{ CLICOLOR_FORCE: '1' }, false, true],
    [{ CLICOLOR_FORCE: '1', TERM: 'dumb' }, false, true],
    [{ CLICOLOR_FORCE: '0' }, false, false],
    [{ CLICOLOR: '0' }, true, false],
    [{ TERM: 'dumb' }, true, false],
    [{}, true, true],
    [{}, false, false],
  ])('with %j on a terminal %j: %j', (env, isTerminal, wanted) => {
    expect(coloursWanted(env, isTerminal)).toBe(wanted);
  });

  it('and drawing over are different things: not in CI', () => {
    expect(isInteractive({ CI: '1' }, true)).toBe(false);
    expect(isInteractive({ CI: 'false' }, true)).toBe(true);
    expect(isInteractive({ TERM: 'dumb' }, true)).toBe(false);
    expect(isInteractive({}, false)).toBe(false);
  });
});

describe('durations', () => {
  it('are read as people write them', () => {
    expect(parseDuration('1m30s')).toBe(90_000);
    expect(parseDuration('500ms')).toBe(500);
    expect(parseDuration('2d')).toBe(172_800_000);
    for (const wrong of ['', '10', '1.5s', '-1s', '1 s', 's']) expect(parseDuration(wrong)).toBeNull();
  });

  it('are shown short', () => {
    expect([412, 1_234, 90_000, 7_200_000, 200_000_000].map(formatMs)).toEqual([
      '412 ms',
      '1.2 s',
      '2 min',
      '2 h',
      '2 d',
    ]);
  });
});

describe('tables', () => {
  it('never exceed the columns they are given, as far as they may shrink', () => {
    const rows = fc.array(fc.record({ a: fc.string({ unit: 'grapheme' }), b: fc.string() }), { minLength: 1 });
    fc.assert(
      fc.property(rows, fc.integer({ min: 16, max: 100 }), (cells, columns) => {
        const layout = [
          { title: 'A', value: ({ a }: { a: string }) => a.replaceAll(/\s/g, '_'), shrinkTo: 4 },
          { title: 'B', value: ({ b }: { b: string }) => b.replaceAll(/\s/g, '_'), shrinkTo: 4 },
        ];
        for (const line of table(cells, layout, { columns })) expect(width(line)).toBeLessThanOrEqual(columns);
      }),
    );
  });

  it('are not cut where nobody looks on', () => {
    const [, row] = table([{ a: 'x'.repeat(300) }], [{ title: 'A', value: ({ a }) => a, shrinkTo: 4 }], {
      columns: null,
    });
    expect(row).toHaveLength(300);
  });

  it('count wide characters twice', () => {
    expect(width('日本')).toBe(4);
    expect(truncate('日本語', 5)).toBe('日本…');
  });

  it('of ps say why something is not ready, and what is wrong with the last save', () => {
    const status = shopStatus();
    status.config.problems = [{ code: 'MESH-C203', message: 'unknown service', file: '/shop/mesh.config.ts', line: 3 }];
    const lines = renderStatus(status, style, { columns: 80, now: Date.parse('2026-11-20T10:01:00Z'), cwd: '/shop' });
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
    expect(lines[0]).toContain('http://localhost:8080');
    expect(lines.join('\n')).toMatch(/inventory-1 +ready +http +11 +3001 +0 +59 s +\/ns\/default/);
    expect(lines).toContain('  └ waiting for inventory (ready)');
    expect(lines).toContain('mesh.config.ts was not applied; version 3 stays in force');
    expect(lines).toContain('  at   mesh.config.ts:3');
  });

  it('of routes, endpoints and certificates say what there is', () => {
    const mesh = fakeMesh();
    expect(renderRoutes(mesh.routes(), style, { columns: null, cwd: '/' })[1]).toMatch(
      /gateway +gateway-1 +shop\.localhost: path prefix \/api\/orders +orders 75%, inventory\/canary 25% +15\.0 s +2/,
    );
    expect(renderEndpoints(mesh.endpoints(), style, 80)[1]).toMatch(
      /orders +orders-1 +default +127.0.0.1:3005 +draining/,
    );
    expect(renderCertificates([ordersCertificate], style, null)[1]).toMatch(
      /orders +0a1b +in 1 h +2026-11-21T10:00:00Z/,
    );
    expect(renderRoutes([], style, { columns: 80, cwd: '/' })).toEqual(['no routes']);
  });
});

describe('log lines', () => {
  it('keep their colours but cannot touch the rest of the terminal', () => {
    expect(printable('plain\ttext')).toBe('plain\ttext');
    expect(printable('\u001b[31mred')).toBe('\u001b[31mred\u001b[0m');
    expect(printable('\u001b[2J\u0007\u0000')).toBe('␛[2J␇␀');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be left
    const harmful = /[\u0000-\u0008\u000a-\u001a\u001c-\u001f\u007f-\u009f]/;
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => !harmful.test(printable(text))));
  });

  it('are aligned by the widest name so far', () => {
    const format = createLogFormat(style, { times: true });
    const line = { time: '2026-11-20T10:00:01.234Z', service: 'a', stream: 'stdout' as const, text: 'x' };
    expect(format({ ...line, instance: 'a-1' })).toBe('10:00:01.234 a-1      │ x');
    expect(format({ ...line, instance: 'inventory-1' })).toBe('10:00:01.234 inventory-1 │ x');
  });
});

describe('arguments', () => {
  it('say what to scale', () => {
    expect(parseScale(['orders=3', 'inventory/canary=0'])).toEqual({
      ok: true,
      value: [
        { service: 'orders', subset: null, replicas: 3 },
        { service: 'inventory', subset: 'canary', replicas: 0 },
      ],
    });
    for (const wrong of [[], ['orders'], ['orders='], ['orders=-1'], ['orders=1000000']])
      expect(parseScale(wrong).ok).toBe(false);
  });

  it('say since when', () => {
    const base = { services: [], follow: false, lines: undefined, now: 1_000_000 };
    expect(parseLogQuery({ ...base, since: '5m' })).toMatchObject({ value: { sinceMs: 700_000 } });
    expect(parseLogQuery({ ...base, since: '1970-01-01T00:00:01Z' })).toMatchObject({ value: { sinceMs: 1_000 } });
    expect(parseLogQuery({ ...base, since: 'yesterday' }).ok).toBe(false);
  });

  it('name services that there are', () => {
    expect(knownServices(shopStatus(), ['orders', 'inventory']).ok).toBe(true);
    expect(knownServices(shopStatus(), ['ordres'])).toMatchObject({ problems: [{ code: 'MESH-U103' }] });
  });

  it('name routes that there are', () => {
    const routes = [{ name: 'canary' }, { name: 'main' }];
    expect(knownRoute(routes, 'main').ok).toBe(true);
    expect(knownRoute(routes, 'canry')).toMatchObject({
      problems: [{ code: 'MESH-U102', message: 'there is no route `canry`', hint: expect.stringContaining('canary') }],
    });
  });
});

describe('readiness', () => {
  const withOrders = (change: Partial<MeshStatus['services'][0]['instances'][0]>, task = false): MeshStatus => {
    const status = shopStatus();
    status.services[1] = { ...status.services[1], task, waitingFor: [] };
    Object.assign(status.services[1].instances[0], change);
    return status;
  };

  it('waits for what is starting, and says what that waits for', () => {
    expect(readinessOf(shopStatus(), 'ready', [])).toMatchObject({
      kind: 'pending',
      instances: [{ instance: 'orders-1', why: 'starting: waiting for inventory (ready)' }],
    });
    expect(readinessOf(shopStatus(), 'ready', ['inventory'])).toEqual({ kind: 'reached' });
  });

  it('does not wait for what has failed', () => {
    expect(readinessOf(withOrders({ state: 'failed' }), 'ready', [])).toMatchObject({ kind: 'failed' });
    expect(readinessOf(withOrders({ state: 'failed' }), 'stopped', ['orders'])).toEqual({ kind: 'reached' });
  });

  it('takes a task that runs or has ended as there', () => {
    expect(readinessOf(withOrders({ pid: 1 }, true), 'ready', [])).toEqual({ kind: 'reached' });
    expect(readinessOf(withOrders({ state: 'completed' }, true), 'ready', [])).toEqual({ kind: 'reached' });
    expect(readinessOf(withOrders({ pid: 1 }, true), 'completed', ['orders'])).toMatchObject({ kind: 'pending' });
  });
});

describe('the progress of a start', () => {
  it('says who waits, who started, how long it took, and nothing twice', () => {
    const first = shopStatus();
    expect(progressBetween(null, first).map(({ instance, text }) => `${instance} ${text}`)).toEqual([
      'inventory-1 ready in 412 ms',
      'orders-1 waiting for inventory (ready)',
    ]);
    expect(progressBetween(first, shopStatus())).toEqual([]);
    const started = shopStatus();
    started.services[1].waitingFor = [];
    Object.assign(started.services[1].instances[0], { pid: 12, restarts: 0, reason: '' });
    expect(progressBetween(first, started)).toMatchObject([{ instance: 'orders-1', text: 'starting, pid 12' }]);
    const failed = shopStatus();
    Object.assign(failed.services[1].instances[0], { state: 'failed', reason: 'exited with code 1' });
    expect(progressBetween(started, failed)).toMatchObject([{ tone: 'bad', text: 'failed: exited with code 1' }]);
  });
});

describe('what people read', () => {
  it('is one line with the URLs', () => {
    const status = { ...shopStatus(), gateway: { http: 8080, https: 8443 } };
    expect(readyLine(status, '1.2 s')).toBe(
      'shop is ready in 1.2 s: http://localhost:8080  https://shop.localhost:8443',
    );
    expect(readyLine({ ...status, gateway: {} }, null)).toBe('shop is ready: 2 services, no gateway');
  });

  it('has place and hint for a problem', () => {
    const problem = {
      code: 'MESH-C203',
      message: 'unknown',
      hint: 'one\ntwo',
      path: 'services.a',
      file: '/x/y.ts',
      line: 1,
      column: 2,
    };
    expect(renderProblem(problem, style, '/x')).toEqual([
      'error[MESH-C203] unknown',
      '  at   y.ts:1:2  services.a',
      '  hint one',
      '       two',
    ]);
    expect(renderProblem({ ...problem, severity: 'warning', hint: undefined }, style, '/z')[1]).toContain(
      '/x/y.ts:1:2',
    );
  });
});
