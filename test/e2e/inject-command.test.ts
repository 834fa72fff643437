import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import type { InjectionStatus } from '../../src/model/injection.ts';
import { connectControl } from '../../src/runtime/control/client.ts';
import { cleanUpMeshes, eventually, follow, type RunningCommand, startMesh, type TestMesh } from '../support/e2e.ts';
import { ECHO, type EchoAnswer, echo, routesTo } from '../support/e2e-services.ts';

const CLI = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const hasTmux = spawnSync('tmux', ['-V']).status === 0;
if (!hasTmux) console.log('skipped: no tmux');
const socket = `mesh-inject-${process.pid}`;

/** Says which signals and keys it got; ends with 5 at `q`. */
const ATTENTIVE = `
let interrupts = 0;
const size = () => process.stdout.columns + 'x' + process.stdout.rows;
process.on('SIGINT', () => console.log('interrupt ' + ++interrupts));
process.stdout.on('resize', () => console.log('now ' + size()));
process.on('SIGCONT', () => console.log('continued'));
process.on('SIGTERM', () => process.exit(9));
process.on('SIGHUP', () => console.log('hung up'));
process.stdin.setEncoding('utf8').on('data', (text) => {
  console.log('read ' + text.trim());
  if (text.includes('q')) process.exit(5);
});
console.log('attentive', process.stdin.isTTY === true, process.stdout.isTTY ? size() : '', process.env.MESH_SERVICE, process.env.FROM_FILE);
`;
/** A live program that has never heard of a mesh: says as whom the URL in \`u\` saw it. */
const LIVE = `
import http from 'node:http';
http.createServer(async (request, response) => {
  try {
    const answer = await fetch(new URL(request.url, 'http://x').searchParams.get('u'));
    response.end(String((await answer.json()).headers['x-forwarded-client-cert'] ?? 'direct'));
  } catch (error) {
    response.end(String(error.cause ?? error));
  }
}).listen(0, '127.0.0.1', function () { console.log('listens on ' + this.address().port) });
`;
const FILES = { 'echo.mjs': ECHO, 'attentive.mjs': ATTENTIVE, 'live.mjs': LIVE, 'orders.env': 'FROM_FILE=yes\n' };

cleanUpMeshes();
const children: ChildProcess[] = [];
// Runs before the one above, which checks that nothing is left.
afterEach(async () => {
  if (hasTmux) spawnSync('tmux', ['-L', socket, 'kill-server']);
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

const start = () =>
  startMesh(FILES, {
    services: { web: echo({ dependsOn: ['orders'] }), orders: echo({ envFile: 'orders.env' }) },
    gateway: { routes: routesTo('web', 'orders') },
  });

/** A command of the user's own, with a stdin to write to. */
function run(mesh: TestMesh, command: string, ...args: string[]): RunningCommand {
  const child = spawn(command, args, { cwd: mesh.dir, env: mesh.env, stdio: ['pipe', 'pipe', 'pipe'] });
  children.push(child);
  return follow(child, performance.now());
}

const inject = (mesh: TestMesh, ...args: string[]) => run(mesh, process.execPath, CLI, 'inject', ...args);

async function injections(mesh: TestMesh): Promise<InjectionStatus[]> {
  const connected = await connectControl(mesh.path('.mesh/control.sock'));
  if (!connected.ok) throw new Error(connected.problems[0].message);
  try {
    return await connected.value.injections();
  } finally {
    connected.value.close();
  }
}

const nothingInjected = (mesh: TestMesh) => eventually(async () => (await injections(mesh)).length === 0, 10_000);

async function get(mesh: TestMesh, path: string): Promise<EchoAnswer> {
  return (await (await fetch(`http://127.0.0.1:${mesh.gatewayPort}${path}`)).json()) as EchoAnswer;
}

it('gives a command its exit code, stdin and signals, and leaves nothing', async () => {
  const mesh = await start();
  expect(await mesh.mesh('inject', '--as', 'x', '--', 'node', '-e', 'process.exit(7)')).toMatchObject({ code: 7 });
  expect(await mesh.mesh('inject', '--as', 'x', '--', 'sh', '-c', 'kill -TERM $$')).toMatchObject({ code: 143 });
  const missing = await mesh.mesh('inject', '--as', 'x', '--', 'nonesuch');
  expect(missing).toMatchObject({ code: 127, stdout: '' });
  expect(missing.stderr).toContain('MESH-J210');
  expect(await mesh.mesh('inject', '--', 'true')).toMatchObject({ code: 2 });

  const attentive = inject(mesh, '--as', 'orders', '--takeover', '--', 'node', 'attentive.mjs');
  await attentive.until(/attentive false {2}orders yes/);
  attentive.child.stdin!.write('word\n');
  await attentive.until(/read word/);
  attentive.child.kill('SIGHUP');
  await attentive.until(/hung up/);
  // Without a terminal nobody else would tell it.
  attentive.child.kill('SIGINT');
  await attentive.until(/interrupt 1/);
  attentive.child.kill('SIGTERM');
  expect(await attentive.ended).toMatchObject({ code: 9, signal: null });
  await nothingInjected(mesh);
});

it('makes a command the service, through restarts of its server and the death of the client', async () => {
  const mesh = await start();
  const taken = inject(mesh, '--as', 'orders', '--takeover', '--', 'node', 'echo.mjs');
  await taken.until(/orders listens on/);
  await eventually(async () => (await get(mesh, '/orders')).instance === 'orders-injected-1');
  const called = await get(mesh, '/web/call?env=ORDERS_URL');
  expect(called.called?.body.headers['x-forwarded-client-cert']).toContain('/sa/web');
  const [{ pid }] = await injections(mesh);
  taken.child.kill('SIGKILL');
  // Its output is still open: the command has it too.
  await once(taken.child, 'exit');
  expect((await get(mesh, '/orders')).pid).toBe(pid);
  process.kill(pid!);
  await nothingInjected(mesh);
  await eventually(async () => (await get(mesh, '/orders')).instance === 'orders-1');

  // A shell that starts the server twice: the workload is the shell.
  const text = `eval "$("${process.execPath}" "${CLI}" inject --as orders --takeover --env)"
    node echo.mjs & first=$!; read word; kill $first; wait $first; echo down; read word; node echo.mjs & read word; kill $!`;
  const shell = run(mesh, 'sh', '-c', text);
  await shell.until(/listens on[\s\S]*|Error/);
  await eventually(async () => (await get(mesh, '/orders')).instance === 'orders-injected-1');
  expect((await injections(mesh))[0].pid).toBe(shell.child.pid);
  shell.child.stdin!.write('\n');
  await shell.until(/down/);
  await eventually(async () => (await injections(mesh))[0]?.state === 'waiting');
  expect((await get(mesh, '/orders')).instance).toBe('orders-1');
  shell.child.stdin!.write('\n');
  await eventually(async () => (await get(mesh, '/orders')).instance === 'orders-injected-1');
  shell.child.stdin!.write('\n');
  expect(await shell.ended).toMatchObject({ stderr: expect.stringContaining('until this shell ends') });
  await nothingInjected(mesh);
});

it.skipIf(!hasTmux)('leaves the terminal to the command: keys, job control and size', async () => {
  const mesh = await start();
  const { NO_COLOR: _colour, CI: _ci, ...rest } = mesh.env;
  const env = { ...rest, TERM: 'xterm-256color', LANG: 'C.UTF-8', SHELL: '/bin/sh', PS1: 'prompt> ' };
  const tmux = (...args: string[]): string =>
    execFileSync('tmux', ['-L', socket, '-f', '/dev/null', ...args], { encoding: 'utf8', env });
  tmux('new-session', '-d', '-x', '100', '-y', '40', '-c', mesh.dir, 'bash', '--norc', '--noprofile', '-i');
  const screen = (): string => tmux('capture-pane', '-p', '-S', '-300');
  const shows = (text: string | RegExp) =>
    eventually(() => (typeof text === 'string' ? screen().includes(text) : text.test(screen())), 15_000, screen);
  const type = (line: string): string => tmux('send-keys', line, 'Enter');
  await shows('prompt>');
  type(`'${process.execPath}' '${CLI}' inject --as tty -- node attentive.mjs; echo code=$?`);
  await shows('attentive true 100x40 tty');
  tmux('send-keys', 'C-c');
  await shows('interrupt 1');
  tmux('resize-window', '-x', '90', '-y', '30');
  await shows('now 90x30');
  tmux('send-keys', 'C-z');
  await shows('Stopped');
  type('clear; fg');
  await shows('continued');
  tmux('send-keys', 'C-c');
  await shows('interrupt 2');
  expect(screen()).not.toContain('interrupt 3');
  type('q');
  await shows(/read q\s+prompt>/);
  type('echo after=$?');
  await shows('after=5');
  await nothingInjected(mesh);

  type(`'${process.execPath}' '${CLI}' inject --as shelled --shell; echo code=$?`);
  await shows('shelled is in the mesh');
  type('echo "I am $MESH_SERVICE"; exit 3');
  await shows('I am shelled');
  await shows('code=3');
  await nothingInjected(mesh);
});

it('attaches to a live Node.js program, and lets go of it when the daemon has died', async () => {
  const mesh = await start();
  const program = run(mesh, process.execPath, 'live.mjs');
  const [, port] = /listens on (\d+)/.exec(await program.until(/listens on \d+/))!;
  const web = await mesh.instance('web-1');
  const ask = async (url: string) => (await fetch(`http://127.0.0.1:${port}/?u=${url}`)).text();
  const direct = `http://127.0.0.1:${web.appPort}/`;
  expect(await ask(direct)).toBe('direct');

  const attached = await mesh.json<InjectionStatus>('inject', port, '--as', 'live', '--attach');
  expect(attached.coverage.filter(({ subject }) => subject !== '' && !subject.includes('open'))).not.toContainEqual(
    expect.objectContaining({ covered: false }),
  );
  expect(await ask(direct)).toContain('/sa/live');
  expect(await ask('http://orders/')).toContain('/sa/live');
  // The address that it was configured with still is the service's when that has another one.
  expect(await mesh.mesh('restart', 'web')).toMatchObject({ code: 0 });
  await eventually(async () => (await ask(direct)).includes('/sa/live'));
  expect(await mesh.mesh('eject', 'live')).toMatchObject({ code: 0 });
  expect(await ask('http://orders/')).toContain('ENOTFOUND');

  await mesh.json('inject', port, '--as', 'live', '--attach');
  expect(await ask('http://orders/')).toContain('/sa/live');
  process.kill((await mesh.status()).pid, 'SIGKILL');
  expect(await mesh.down()).toMatchObject({ code: 0 });
  expect(await ask('http://orders/')).toContain('ENOTFOUND');
  expect(existsSync(mesh.path('.mesh/attached.json'))).toBe(false);
  expect(program.output()).not.toMatch(/Error:/);
});
