import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { cleanUpMeshes, createMesh, eventually } from '../support/e2e.ts';
import { ECHO, echo, routesTo } from '../support/e2e-services.ts';

const CLI = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const hasTmux = spawnSync('tmux', ['-V']).status === 0;
if (!hasTmux) console.log('skipped: no tmux');

const socket = `mesh-e2e-${process.pid}`;
const tmux = (env: Record<string, string>, ...args: string[]): string =>
  execFileSync('tmux', ['-L', socket, '-f', '/dev/null', ...args], {
    encoding: 'utf8',
    env: { ...env, LANG: 'C.UTF-8' },
  });

cleanUpMeshes();
// Runs before the one above, which checks that nothing is left.
afterEach(() => {
  if (hasTmux) spawnSync('tmux', ['-L', socket, 'kill-server']);
});

it.skipIf(!hasTmux)('draws in a terminal, and leaves it as it was', async () => {
  const mesh = await createMesh(
    { 'echo.mjs': ECHO },
    {
      name: 'drawn',
      services: { web: echo({ dependsOn: ['orders'] }), orders: echo() },
      gateway: { routes: routesTo('web') },
    },
  );
  const { NO_COLOR: _colour, CI: _ci, ...env } = mesh.env;
  env.TERM = 'xterm-256color';
  const script = `${process.execPath} ${CLI} up; echo "code=$?"; stty -a; exec cat`;
  tmux(env, 'new-session', '-d', '-x', '120', '-y', '40', '-c', mesh.dir, 'sh', '-c', script);
  const screen = (): string => tmux(env, 'capture-pane', '-p', '-S', '-200');
  await eventually(() => /web.*ready[\s\S]*orders.*ready/.test(screen()), 20_000, screen);
  await eventually(() => screen().includes(`http://localhost:${mesh.gatewayPort}`), 5_000, screen);
  expect(screen()).toContain('drawn');
  tmux(env, 'resize-window', '-x', '70', '-y', '20');
  await eventually(() => /web.*ready/.test(screen()), 5_000, screen);
  tmux(env, 'send-keys', 'C-c');
  await eventually(() => screen().includes('code='), 15_000, screen);
  expect(screen()).toContain('code=0');
  // Lines, echo, the cursor and the main screen are back.
  expect(screen()).toMatch(/ icanon/);
  expect(screen()).toMatch(/ echo /);
  expect(tmux(env, 'display-message', '-p', '#{cursor_flag} #{alternate_on}').trim()).toBe('1 0');
});
