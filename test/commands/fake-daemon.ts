/**
 * A daemon for tests of `mesh up`: the real control server and lock in front of a pretended mesh. FAKE_DAEMON says how it
 * behaves: `ready`, `slow`, `failing`, `looping`, `refusing` (a problem at the start), `crashing` (no report), `hanging`, `dying`.
 */
import { appendFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { fail, ok } from '../../src/model/result.ts';
import { serveControl } from '../../src/runtime/control/server.ts';
import { writeStartupReport } from '../../src/runtime/control/startup-report.ts';
import { openMeshDirectory } from '../../src/runtime/state/mesh-directory.ts';
import { acquireMeshLock } from '../../src/runtime/state/mesh-lock.ts';
import { fakeMesh, shopStatus } from '../runtime/control/fake-mesh.ts';

const { values } = parseArgs({
  options: {
    config: { type: 'string', default: '' },
    parent: { type: 'string' },
    services: { type: 'string', default: '' },
    'report-fd': { type: 'string', default: '3' },
  },
});
const mode = process.env.FAKE_DAEMON;
const journal = (line: string) => appendFileSync(path.join(path.dirname(values.config), 'journal'), `${line}\n`);
const report = (result: Parameters<typeof writeStartupReport>[1]) =>
  writeStartupReport(Number(values['report-fd']), result);

if (mode === 'crashing') {
  process.stderr.write('Error: out of luck\n');
  process.exit(7);
}
if (mode === 'refusing') {
  report(fail({ code: 'MESH-C203', message: 'unknown service `ordres`', hint: 'did you mean `orders`?', line: 3 }));
  process.exit(1);
}

const directory = openMeshDirectory(path.dirname(values.config));
if (!directory.ok) throw new Error(directory.problems[0].message);
const lock = acquireMeshLock(directory.value.path);
if (!lock.ok) {
  report(lock);
  process.exit(1);
}
journal(`start ${values.services}`);
const mesh = fakeMesh({ ...shopStatus(), pid: process.pid, state: 'starting' });
const finish = () => {
  lock.value.release();
  process.exit(0);
};
mesh.down = async (timeoutMs, progress) => {
  journal(`down ${timeoutMs}`);
  progress('orders-1 (pid 12) is still running');
  if (mode === 'hanging' && timeoutMs > 0) await new Promise(() => undefined);
  mesh.setStatus({ ...mesh.current, state: 'stopped' });
  setImmediate(async () => {
    await server.close();
    finish();
  });
  return ok(undefined);
};
mesh.start = async (service) =>
  mesh.current.services.some(({ name }) => name === service)
    ? ok(undefined)
    : fail({ code: 'MESH-U103', message: `there is no service ${service}` });
const served = await serveControl(mesh, directory.value.controlSocket, {
  onAttachedClientGone: () => {
    journal('attached client gone');
    finish();
  },
});
if (!served.ok) throw new Error(served.problems[0].message);
const server = served.value;
report(ok(undefined));

const become = (state: 'ready' | 'failed', reason: string) => {
  const status = { ...shopStatus(), pid: process.pid };
  const [, orders] = status.services;
  orders.waitingFor = [];
  Object.assign(orders.instances[0], { state, reason, pid: 12, readyAfterMs: state === 'ready' ? 98 : null });
  mesh.append({
    time: new Date().toISOString(),
    service: 'orders',
    instance: 'orders-1',
    stream: 'stderr',
    text: state === 'ready' ? 'listening' : 'Error: no database',
  });
  mesh.setStatus(status);
};
let restarts = 0;
const crash = () => {
  const status = { ...shopStatus(), pid: process.pid };
  Object.assign(status.services[1].instances[0], {
    reason: 'exited with code 1, restarting in 5 ms',
    restarts: restarts++,
  });
  mesh.setStatus(status);
};
if (mode === 'looping') setInterval(crash, 5);
else if (mode === 'failing') setTimeout(() => become('failed', 'exited with code 1'), 50);
else if (mode !== 'slow') setTimeout(() => become('ready', ''), 50);
if (mode === 'dying') setTimeout(() => process.kill(process.pid, 'SIGKILL'), 200);
