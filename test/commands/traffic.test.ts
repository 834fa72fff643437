import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ANY_REQUEST, type TapBatch } from '../../src/model/events.ts';
import { createRepaint } from '../../src/runtime/client/repaint.ts';
import { createStyle } from '../../src/runtime/client/style.ts';
import { followTap } from '../../src/runtime/client/tap.ts';
import { createTapFormat, explainSilence, parseTapFilter } from '../../src/runtime/client/tap-view.ts';
import { dotGraph, mermaidGraph, percent, renderGraph, renderStats } from '../../src/runtime/client/traffic-view.ts';
import { type ControlServer, serveControl } from '../../src/runtime/control/server.ts';
import { controlSocketPath } from '../../src/runtime/control/socket-path.ts';
import {
  type FakeMesh,
  fakeMesh,
  requestEvent,
  shopStatus,
  statRow,
  temporaryDirectory,
  until,
} from '../runtime/control/fake-mesh.ts';

const plainStyle = createStyle(false);
const flags = { direction: 'outbound', 'max-rps': 0 };

describe('the filter of mesh tap', () => {
  it('comes from the flags', () => {
    const given = {
      ...flags,
      from: 'gateway',
      status: '5xx',
      'min-duration': '1m30s',
      header: ['X-User=42', 'x-a'],
      direction: 'both',
      'max-rps': 7,
      'show-header': ['Content-Type'],
    };
    expect(parseTapFilter('orders', given, shopStatus())).toEqual({
      ok: true,
      value: {
        ...ANY_REQUEST,
        service: 'orders',
        from: 'gateway',
        status: '5xx',
        minDurationMs: 90_000,
        headers: [
          ['x-user', '42'],
          ['x-a', ''],
        ],
        maxPerSecond: 7,
        showHeaders: ['content-type'],
      },
    });
  });

  it.each([
    ['ordres', {}, "did you mean 'orders'?"],
    [undefined, { to: 'gateway' }, '--from gateway'],
    [undefined, { from: 'none' }, 'inventory, orders'],
    [undefined, { 'min-duration': '5' }, '500ms'],
    [undefined, { status: '700' }, '5xx'],
  ])('%j %j is refused', (service, part, hint) => {
    const result = parseTapFilter(service, { ...flags, ...part }, shopStatus());
    expect(result.ok ? '' : result.problems[0].hint).toContain(hint);
  });
});

describe('a request on the terminal', () => {
  const format = createTapFormat(plainStyle, { wide: false });

  it('is one line', () => {
    expect(format(requestEvent())).toEqual(['10:00:01.234  gateway → orders  GET   /orders/1  200  1.3 ms']);
    expect(
      format(requestEvent({ protocol: 'grpc', grpcStatus: 5, method: 'POST', path: '/a.B/C', durationMs: 1_234 }))[0],
    ).toMatch(/POST {2}\/a\.B\/C {2}NOT_FOUND {2}1\.2 s$/);
    expect(format(requestEvent({ status: 503, responseFlags: 'UH', retries: 2, durationMs: 0.25 }))[0]).toMatch(
      /503 {2}0\.25 ms {2}UH {2}2 retries$/,
    );
    expect(format(requestEvent({ status: 0, responseFlags: 'DC' }))[0]).toContain('no response');
    expect(format(requestEvent({ destination: '', status: 404, responseFlags: 'NR' }))[0]).toContain('gateway → ?');
  });

  it('has more below it where that is asked for', () => {
    const wide = createTapFormat(plainStyle, { wide: true });
    const [, more, request, response] = wide(
      requestEvent({ requestHeaders: [['x-a', '1']], responseHeaders: [['x-b', '2']] }),
    );
    expect(more).toContain(
      'orders-1  route orders  http  shop.localhost  mTLS spiffe://shop.local/ns/default/sa/orders  0 B in, 27 B out  picked 0.05 ms  first byte 1.1 ms',
    );
    expect([request, response]).toEqual(['    > x-a: 1', '    < x-b: 2']);
  });

  it('cannot carry escapes of a client to the terminal', () => {
    const evil = '\u001b]0;owned\u0007\u009b31m\r\n‮';
    const lines = createTapFormat(plainStyle, { wide: true })(
      requestEvent({
        method: evil,
        path: evil,
        authority: evil,
        route: evil,
        source: evil,
        destination: evil,
        requestHeaders: [[evil, evil]],
      }),
    );
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(lines.join('')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  });
});

describe('silence', () => {
  const filter = { ...ANY_REQUEST };
  const ready = () => {
    const status = shopStatus();
    status.services[1].instances[0].state = 'ready';
    return status;
  };

  it('is explained', () => {
    expect(explainSilence(filter, 0, 3_000, ready())).toBe(
      'no traffic at all in 3 s; try `curl http://127.0.0.1:8080/`',
    );
    expect(explainSilence({ ...filter, status: '5xx', to: 'orders' }, 12, 3_000, ready())).toBe(
      'nothing matches: 12 requests were seen in 3 s and filtered out by `--to orders`, `--status 5xx`',
    );
    expect(explainSilence({ ...filter, service: 'orders' }, 12, 3_000, shopStatus())).toBe(
      'nothing matches: orders is down (orders-1 is starting: waiting for inventory (ready))',
    );
    expect(explainSilence(filter, 0, 3_000, shopStatus())).toContain('orders is down');
    const none = ready();
    none.services[1].instances = [];
    expect(explainSilence({ ...filter, from: 'orders' }, 0, 3_000, none)).toContain('orders has no instances');
  });
});

describe('following a tap', () => {
  it('ends after the requests asked for', async () => {
    const batches: TapBatch[] = [
      { events: [], dropped: 0, filtered: 1 },
      { events: [requestEvent({ id: '1' }), requestEvent({ id: '2' })], dropped: 5, filtered: 0 },
      { events: [requestEvent({ id: '3' }), requestEvent({ id: '4' })], dropped: 0, filtered: 0 },
    ];
    const shown: string[] = [];
    const client = {
      status: async () => shopStatus(),
      tap: async function* () {
        yield* batches;
      },
    };
    await followTap(
      client,
      ANY_REQUEST,
      { count: 3, signal: new AbortController().signal },
      { show: (events) => shown.push(...events.map(({ id }) => id)), remark: () => {} },
    );
    expect(shown).toEqual(['1', '2', '3']);
  });
});

describe('statistics on the terminal', () => {
  it('are a table', () => {
    expect(
      renderStats([statRow(), statRow({ destination: '', requests: 5, successRate: 1, tls: false })], plainStyle, {
        by: 'edge',
        columns: null,
      }),
    ).toEqual([
      'FROM     TO      REQUESTS  RPS  SUCCESS     P50    P95     P99  ACTIVE  RETRIES  TLS',
      'gateway  orders       120  2.0   97.5 %  1.5 ms  12 ms  250 ms       1        2  mTLS',
      'gateway  -              5  2.0    100 %  1.5 ms  12 ms  250 ms       1        2  plain',
    ]);
    expect(renderStats([], plainStyle, { by: 'service', columns: null })).toEqual(['no traffic in this window']);
  });

  it('never call all but one in a million perfect', () => {
    expect([percent(1), percent(0.999_999), percent(0)]).toEqual(['100 %', '99.9 %', '0.0 %']);
  });

  it('are drawn over each other on a terminal alone', () => {
    const written: string[] = [];
    const output = (isTTY: boolean) => ({ isTTY, rows: 3, write: (text: string) => written.push(text) }) as never;
    const over = createRepaint(output(true), {});
    over(['a', 'b', 'c', 'd']);
    over(['e']);
    const plainly = createRepaint(output(false), {});
    plainly(['a']);
    plainly(['b']);
    expect(written).toEqual(['a\nb\n', '\u001b[2A\r\u001b[Je\n', 'a\n', '\nb\n']);
  });
});

describe('the graph', () => {
  const edges = [
    statRow(),
    statRow({ destination: 'legacy', tls: false, successRate: 0.5 }),
    statRow({ source: 'orders', destination: 'end', successRate: 1 }),
  ];

  it('is a tree of callers', () => {
    const facts = 'p50 1.5 ms  p95 12 ms  p99 250 ms';
    expect(renderGraph(edges, plainStyle)).toEqual([
      'gateway',
      `├─▶ orders  🔒  2.0 rps  97.5 %  ${facts}`,
      `└─▶ legacy      2.0 rps  50.0 %  ${facts}`,
      'orders',
      `└─▶ end     🔒  2.0 rps  100 %  ${facts}`,
    ]);
    expect(renderGraph([], plainStyle)).toEqual(['no traffic in this window']);
  });

  it('is a flowchart of Mermaid', () => {
    expect(mermaidGraph(edges)).toEqual([
      'flowchart LR',
      '  n0["gateway"]',
      '  n1["orders"]',
      '  n2["legacy"]',
      '  n3["end"]',
      '  n0 -->|"🔒 2.0 rps, 97.5 %, p50 1.5 ms"| n1',
      '  n0 -.->|"2.0 rps, 50.0 %, p50 1.5 ms"| n2',
      '  n1 -->|"🔒 2.0 rps, 100 %, p50 1.5 ms"| n3',
    ]);
  });

  it('is a digraph of Graphviz', () => {
    const lines = dotGraph(edges);
    expect(lines[0]).toBe('digraph mesh {');
    expect(lines).toContain('  n0 -> n2 [label="2.0 rps, 50.0 %, p50 1.5 ms", style=dashed, color=red];');
    expect(dotGraph([statRow({ source: 'a"b' })])[3]).toBe('  n0 [label="a\\"b"];');
  });
});

describe('the commands', () => {
  const bin = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let server: ControlServer;
  let mesh: FakeMesh;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    await writeFile(path.join(directory.path, 'mesh.config.ts'), '');
    mesh = fakeMesh();
    const served = await serveControl(mesh, controlSocketPath(path.join(directory.path, '.mesh')));
    if (!served.ok) throw new Error(served.problems[0].message);
    server = served.value;
  });

  afterAll(async () => {
    await server.close();
    await directory[Symbol.asyncDispose]();
  });

  beforeEach(() => {
    mesh.calls.length = 0;
    mesh.rows = [statRow(), statRow({ source: 'web', destination: 'inventory' })];
  });

  /** What the last command has written to stderr so far. */
  let remarks = '';

  function run(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
    remarks = '';
    const child = spawn(process.execPath, [bin, ...args], {
      cwd: directory.path,
      env: { ...process.env, NO_COLOR: '1', NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
      remarks = stderr;
    });
    return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
  }

  it('tap prints the contracted JSON and explains what it left out', async () => {
    const done = run(
      'tap',
      'orders',
      '--json',
      '-n',
      '2',
      '--status',
      '2xx',
      '--header',
      'x-a=1',
      '--header',
      'x-b',
      '--show-header',
      'x-a',
    );
    await until(() => mesh.taps === 1, 'the tap is there', 15_000);
    mesh.tapped({ events: [requestEvent({ requestHeaders: [['x-a', '1']] }), requestEvent({ id: '2' })] });
    const { code, stdout, stderr } = await done;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toMatchObject([{ path: '/orders/1', requestHeaders: [['x-a', '1']] }, { id: '2' }]);
    expect(JSON.parse(mesh.calls.find((call) => call.startsWith('tap'))!.slice(4))).toMatchObject({
      service: 'orders',
      status: '2xx',
      headers: [
        ['x-a', '1'],
        ['x-b', ''],
      ],
      direction: 'outbound',
    });
  });

  it('tap says why there is nothing to see, and what was dropped', async () => {
    const done = run('tap', '--to', 'inventory', '-n', '1');
    await until(() => mesh.taps === 1, 'the tap is there', 15_000);
    mesh.tapped({ filtered: 9, dropped: 3 });
    await until(() => remarks.includes('nothing matches'), 'the explanation', 15_000);
    mesh.tapped({ events: [requestEvent()] });
    const { stderr, stdout } = await done;
    expect(stderr).toContain('3 more requests matched and are not shown');
    expect(stderr).toContain('nothing matches: 9 requests were seen in 3 s and filtered out by `--to inventory`');
    expect(stdout).toContain('gateway → orders');
  });

  it('stat and graph print what the daemon counts', async () => {
    const [stat, json, graph, wrong, unknown] = await Promise.all([
      run('stat', 'orders', '--by', 'edge', '--window', '5m'),
      run('stat', '--json'),
      run('graph', '--format', 'mermaid'),
      run('stat', '--window', '1h'),
      run('stat', 'nothing'),
    ]);
    expect(stat.stdout).toMatch(/^FROM +TO .*\ngateway +orders/);
    expect(stat.stdout).not.toContain('inventory');
    expect(JSON.parse(json.stdout)).toEqual({ telemetryDropped: {}, windowMs: 60_000, by: 'service', rows: mesh.rows });
    expect(graph.stdout).toContain('flowchart LR');
    expect(mesh.calls).toEqual(
      expect.arrayContaining(['stats 300000 edge', 'stats 60000 service', 'stats 60000 edge']),
    );
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('from 1s to 10m') });
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('there is no service') });
  });
});
