/** Checks of one mesh: its configuration, its directory, its ports, its daemon. */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import path from 'node:path';
import type { ResolvedConfig } from '../../../model/resolved.ts';
import { connectControl } from '../../control/client.ts';
import { openLedger } from '../../state/ledger.ts';
import { findMeshDirectory } from '../../state/mesh-directory.ts';
import { lockOwner } from '../../state/mesh-lock.ts';
import { describeOwner, portOwners } from '../../state/port-owner.ts';
import { isRunning } from '../../state/process-table.ts';
import { loadOnce } from '../load-once.ts';
import type { MeshLocation } from '../locate.ts';
import { placeOf } from '../render-problems.ts';
import { type Check, failed, passed, skipped, warning } from './check.ts';

export async function checkConfig(
  location: MeshLocation,
  cwd: string,
): Promise<{ check: Check; config: ResolvedConfig | null }> {
  const loaded = await loadOnce(location.configFile);
  if (loaded.ok) {
    const services = Object.keys(loaded.value.config.services).length;
    const text = `${placeOf({ code: '', message: '', file: location.configFile }, cwd)} is valid, ${services} ${services === 1 ? 'service' : 'services'}`;
    return { check: passed('config', text), config: loaded.value.config };
  }
  const [first, ...others] = loaded.problems;
  const more = others.length > 0 ? `, and ${others.length} more` : '';
  return {
    check: failed(
      'config',
      `${first.message} (${placeOf(first, cwd) || first.code})${more}`,
      '`mesh validate` shows all',
    ),
    config: null,
  };
}

/** Written by nothing but the user's own processes. */
export function checkStateDirectory(location: MeshLocation): Check {
  const name = 'state directory';
  const directory = existsSync(location.stateDir) ? location.stateDir : location.baseDir;
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch {
    return failed(name, `${directory} is not writable`, `\`sudo chown -R "$USER" ${directory}\``);
  }
  const uid = process.getuid?.();
  const { uid: owner } = statSync(directory);
  if (directory === location.stateDir && uid !== undefined && uid !== owner && uid !== 0) {
    return failed(
      name,
      `${directory} belongs to user ${owner}`,
      `\`sudo chown -R "$USER" ${directory}\`, and no sudo for mesh`,
    );
  }
  return passed(name, `${path.relative(process.cwd(), location.stateDir) || '.mesh'} is writable`);
}

/** A daemon that runs, hangs, or died and left something; of one that answers, what its telemetry had to leave out. */
export async function checkDaemon(
  location: MeshLocation,
): Promise<{ check: Check; running: boolean; dropped?: Record<string, number> }> {
  const connected = await connectControl(location.socketPath, 1_000);
  if (connected.ok) {
    const { pid, mesh, traffic } = await connected.value.status();
    connected.value.close();
    const check = passed('daemon', `${mesh} runs, pid ${pid}`);
    return { check, running: true, dropped: traffic.telemetryDropped };
  }
  const directory = findMeshDirectory(location.baseDir);
  if (directory === null) return { check: passed('daemon', 'no mesh is running here'), running: false };
  const owner = lockOwner(directory.path);
  if (owner !== null) {
    const text = `the daemon (pid ${owner.pid}) runs but does not answer`;
    return { check: failed('daemon', text, '`mesh down` ends it in any state'), running: true };
  }
  const left = leftProcesses(directory);
  if (left.length > 0) {
    const text = `the daemon died and left ${left.length} processes: ${left.join(', ')}`;
    return { check: failed('daemon', text, '`mesh down` ends them, and so does the next `mesh up`'), running: false };
  }
  return { check: passed('daemon', 'no mesh is running here, and nothing is left of one'), running: false };
}

function leftProcesses(directory: NonNullable<ReturnType<typeof findMeshDirectory>>): string[] {
  if (!existsSync(directory.ledger)) return [];
  const ledger = openLedger(directory.ledger, directory.key);
  if (!ledger.ok) return [];
  try {
    return ledger.value
      .live()
      .flatMap(({ instance, process }) =>
        process !== null && isRunning(process) ? [`${instance} (pid ${process.pid})`] : [],
      );
  } finally {
    ledger.value.close();
  }
}

/** Fixed ports, of the gateway and of services. */
export async function checkPorts(config: ResolvedConfig | null, running: boolean): Promise<Check> {
  if (config === null) return skipped('ports', 'the configuration is not valid');
  const wanted = new Map<number, string>();
  if (config.gateway?.http != null) wanted.set(config.gateway.http, 'gateway.http');
  if (config.gateway?.https != null) wanted.set(config.gateway.https, 'gateway.https');
  for (const service of Object.values(config.services)) {
    if (service.port !== null && service.external === null) wanted.set(service.port, `services.${service.name}.port`);
  }
  if (wanted.size === 0) return passed('ports', 'no fixed ports');
  const list = [...wanted].map(([port, path]) => `${port} (${path})`).join(', ');
  if (running) return passed('ports', `${list}: in use by the mesh that runs here`);
  const owners = await portOwners([...wanted.keys()]);
  if (owners.size === 0) return passed('ports', `free: ${list}`);
  const taken = [...owners].map(([port, owner]) => `${port} (${wanted.get(port)}) is held by ${describeOwner(owner)}`);
  return warning('ports', taken.join('; '), 'end that process, or set another port in mesh.config.ts');
}
