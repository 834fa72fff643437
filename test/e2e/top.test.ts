import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { cleanUpMeshes, eventually, startMesh, type TestMesh } from '../support/e2e.ts';
import { ECHO, echo, routesTo } from '../support/e2e-services.ts';
import { get } from '../support/e2e-traffic.ts';
import { findTool, skipped } from '../support/tools.ts';

const CLI = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const noTmux = findTool('tmux') === null && skipped('no tmux');
const socket = `mesh-top-${process.pid}`;

cleanUpMeshes();
// Runs before the one above, which checks that nothing is left.
afterEach(() => {
  if (!noTmux) spawnSync('tmux', ['-L', socket, 'kill-server']);
});

const CONFIG = {
  name: 'watched',
  services: { web: echo({ dependsOn: ['orders'] }), orders: echo() },
  gateway: { routes: routesTo('web') },
};

interface Terminal {
  /** What is on the screen, as lines. */
  screen(): string;
  /** Numbers of the foreground colours on it. */
  colours(): string[];
  /** With what has scrolled off. */
  history(): string;
  type(...keys: string[]): void;
  resize(columns: number, rows: number): void;
  shows(pattern: RegExp, timeoutMs?: number): Promise<void>;
  ask(format: string): string;
}

/** `mesh top` in a tmux of its own, then its exit code and the terminal's settings. */
function openTop(mesh: TestMesh, columns: number, rows: number, extra: Record<string, string> = {}): Terminal {
  const { NO_COLOR: _colour, CI: _ci, ...env } = mesh.env;
  Object.assign(env, { TERM: 'xterm-256color', LANG: 'C.UTF-8' }, extra);
  const tmux = (...args: string[]): string =>
    execFileSync('tmux', ['-L', socket, '-f', '/dev/null', ...args], { encoding: 'utf8', env });
  const script = `echo before; ${process.execPath} ${CLI} top; echo "code=$?"; stty -a; exec cat`;
  tmux('new-session', '-d', '-x', String(columns), '-y', String(rows), '-c', mesh.dir, 'sh', '-c', script);
  const terminal: Terminal = {
    screen: () => tmux('capture-pane', '-p'),
    colours: () => {
      const escapes = tmux('capture-pane', '-p', '-e').split('\u001b[').slice(1);
      const codes = escapes.flatMap((text) => text.slice(0, text.indexOf('m')).split(';'));
      return codes.filter((code) => /^(3[0-7]|9[0-7])$/.test(code));
    },
    history: () => tmux('capture-pane', '-p', '-S', '-100'),
    type: (...keys) => void tmux('send-keys', ...keys),
    resize: (width, height) => void tmux('resize-window', '-x', String(width), '-y', String(height)),
    shows: (pattern, timeoutMs = 10_000) =>
      eventually(() => pattern.test(terminal.screen()), timeoutMs, terminal.screen),
    ask: (format) => tmux('display-message', '-p', format).trim(),
  };
  return terminal;
}

const call = (mesh: TestMesh) => get(mesh.gatewayPort, '/web/call?env=ORDERS_URL');

describe.skipIf(noTmux)('mesh top in a terminal', () => {
  it.each([
    [80, 24],
    [150, 40],
  ])('shows every view at %i x %i, and gives the terminal back', async (columns, rows) => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, CONFIG);
    const top = openTop(mesh, columns, rows);
    await top.shows(/> web +ready +1\/1/);
    expect(top.ask('#{alternate_on} #{cursor_flag}')).toBe('1 0');
    expect(top.colours()).toContain('32');

    top.type('2');
    await top.shows(/no request came since this view was opened/);
    await eventually(async () => {
      await call(mesh);
      return /web → orders/.test(top.screen());
    });
    await top.shows(/gateway → web +GET +\/web\/call/);
    top.type('/', 'to:orders', 'Enter');
    await top.shows(/\/to:orders/);
    expect(top.screen()).not.toContain('gateway → web');
    top.type('Enter');
    await top.shows(/TLS peer +spiffe:\/\/watched\.local\/ns\/default\/sa\/orders/);
    // A page that grows while its trace comes in is scrolled again.
    const end = (pattern: RegExp) =>
      eventually(
        () => {
          top.type('G');
          return pattern.test(top.screen());
        },
        10_000,
        top.screen,
      );
    await top.shows(/route +orders +\S*mesh\.config\.ts:\d+/);
    await end(/Bodies\n *not captured; b captures/);
    top.type('b', 'Escape');
    await top.shows(/with bodies/);
    await eventually(
      async () => {
        await call(mesh);
        top.type('Enter');
        await top.shows(/Esc back/);
        await end(/not captured: it began|"body": ""/);
        if (/"body": ""/.test(top.screen())) return true;
        top.type('Escape');
        await top.shows(/with bodies/);
        return false;
      },
      20_000,
      top.screen,
    );
    // The trace as the mesh keeps it, found by scrolling back.
    await eventually(
      () => {
        top.type('k');
        return /^Trace\n▸ web GET \/ → orders +[\d.]+m?s +█[\s\S]*web probably does not pass on traceparent/m.test(
          top.screen(),
        );
      },
      20_000,
      top.screen,
    );
    top.type('Escape', '3');
    await top.shows(/gateway +gateway\S+ +path pref[\s\S]*orders +orders +everything +[\d.<]+/);
    top.type('4');
    await top.shows(/└─▸ web +mTLS[\s\S]*└─▸ orders +mTLS/);
    top.type('5');
    await top.shows(/orders-1 +│ orders listens on/);
    top.type('6');
    await top.shows(/orders +23h5\dm/);
    top.type('7');
    await top.shows(/last save +in force/);
    top.type('1');
    await top.shows(/web +ready +1\/1 +(0 +)?[\d.<]+/);

    top.resize(60, 15);
    await top.shows(/\[1 Services\] +2 +3/);
    const lines = top.screen().trimEnd().split('\n');
    expect(lines).toHaveLength(15);
    expect(lines[0]).toMatch(/^watched running/);
    expect(lines.at(-1)).toMatch(/q quit$/);

    top.type('q');
    await top.shows(/code=0/);
    expect(top.history()).toContain('before');
    expect(top.screen()).toMatch(/ icanon/);
    expect(top.screen()).toMatch(/ echo /);
    expect(top.ask('#{alternate_on} #{cursor_flag}')).toBe('0 1');
    expect((await mesh.status()).state).toBe('running');
  });

  it('restarts a service, and lends the terminal to an editor at its line', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, CONFIG);
    mesh.write('vi', '#!/bin/sh\necho "args: $*"\nprintf "your name? "\nread -r name\necho "$name" > edited\n');
    execFileSync('chmod', ['+x', mesh.path('vi')]);
    const top = openTop(mesh, 80, 24, { EDITOR: mesh.path('vi'), NO_COLOR: '1' });
    await top.shows(/> web +ready/);
    expect(top.colours()).toEqual([]);
    const { pid } = await mesh.instance('orders-1');
    top.type('j', 'r');
    await eventually(async () => (await mesh.instance('orders-1')).pid !== pid);
    await top.shows(/orders restarted/);

    top.type('e');
    await top.shows(/args: \+\d+ .*mesh\.config\.ts/);
    const line = Number(/args: \+(\d+)/.exec(top.screen())![1]);
    expect(readFileSync(mesh.path('mesh.config.ts'), 'utf8').split('\n')[line - 1]).toContain('"orders"');
    expect(top.ask('#{alternate_on} #{cursor_flag}')).toBe('0 1');
    // Every key is the editor's, q too.
    top.type('quentin', 'Enter');
    await top.shows(/> orders +ready/);
    expect(readFileSync(mesh.path('edited'), 'utf8')).toBe('quentin\n');
    top.type('2');
    await top.shows(/\[2 Requests\]/);
    top.type('C-c');
    await top.shows(/code=0/);
  });
});

describe('mesh top without a terminal', () => {
  it('prints the table of services, or one object a line', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, CONFIG);
    await call(mesh);
    await eventually(async () => {
      const outcome = await mesh.mesh('top', '--count', '1');
      expect(outcome).toMatchObject({ code: 0, stderr: '' });
      expect(outcome.stdout).toMatch(/^watched {2}running {2}config version \d+\nSERVICE +STATE +UP +RST +REQ\/S/);
      return /orders +ready +1\/1 +0 +0\.[1-9] +100\.0 %/.test(outcome.stdout);
    });
    const { stdout } = await mesh.mesh('top', '--json', '--count', '2', '--interval', '100ms');
    const documents = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(documents).toHaveLength(2);
    expect(documents[1]).toMatchObject({
      mesh: 'watched',
      state: 'running',
      services: [{ name: 'web' }, { name: 'orders', state: 'ready', ready: 1 }],
    });
  });

  it('needs a mesh that runs', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, CONFIG);
    await mesh.down();
    expect(await mesh.mesh('top')).toMatchObject({ code: 3 });
    expect((await mesh.mesh('top', '--view', 'nothing')).stderr).toContain('services, requests');
  });
});
