import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Problem, Result } from '../model/result.ts';
import { ok } from '../model/result.ts';
import { systemClock } from './clock.ts';
import { ConfigLoader } from './config/config-loader.ts';
import { ConfigWatcher } from './config/config-watcher.ts';
import { packageRoot } from './control/package-root.ts';
import { type ControlServer, serveControl } from './control/server.ts';
import { openCertificateAuthority } from './identity/certificate-authority.ts';
import { bundleWithSystemRoots } from './identity/system-roots.ts';
import { Mesh } from './mesh.ts';
import { DataPlaneLauncher } from './snapshot/data-plane-launcher.ts';
import { openLedger } from './state/ledger.ts';
import { openMeshDirectory } from './state/mesh-directory.ts';
import { acquireMeshLock } from './state/mesh-lock.ts';
import { isRunning, readProcess } from './state/process-table.ts';
import { recover } from './state/recovery.ts';
import { LogStore } from './supervisor/log-files.ts';

/** What an earlier run left gets so long to end before SIGKILL. */
const RECOVERY_GRACE_MS = 3_000;
const RECOVERY_KILL_MS = 2_000;
/** Services are given so long when the daemon itself is told to end. */
const SIGNAL_TIMEOUT_MS = 10_000;
const PARENT_INTERVAL_MS = 200;

export interface DaemonOptions {
  configFile: string;
  /** Empty: all. */
  services: readonly string[];
  /** A client of this pid waits for us and will attach; 0: the mesh is on its own. */
  parentPid: number;
}

export interface Daemon {
  /** Resolves when the mesh is down and everything is closed. */
  readonly ended: Promise<void>;
  /** For signals: takes the mesh down; a second call forces. */
  stop(): void;
}

/**
 * The control plane of one mesh: opens what it stands on in this order, and closes it in the reverse one. The lock comes
 * first, so that nothing below is ever shared by two daemons.
 */
export async function startDaemon(options: DaemonOptions): Promise<Result<Daemon>> {
  const closers: (() => unknown)[] = [];
  const closeAll = async () => {
    for (const close of closers.reverse()) await close();
  };
  const started = await compose(options, closers);
  if (!started.ok) await closeAll();
  return started;
}

async function compose(options: DaemonOptions, closers: (() => unknown)[]): Promise<Result<Daemon>> {
  const baseDir = path.dirname(options.configFile);
  const directory = openMeshDirectory(baseDir);
  if (!directory.ok) return directory;
  const lock = acquireMeshLock(directory.value.path);
  if (!lock.ok) return lock;
  closers.push(() => lock.value.release());

  const ledger = openLedger(directory.value.ledger, directory.value.key);
  if (!ledger.ok) return ledger;
  closers.push(() => ledger.value.close());
  await recover(ledger.value, { clock: systemClock, graceMs: RECOVERY_GRACE_MS, killMs: RECOVERY_KILL_MS });

  const loader = new ConfigLoader();
  closers.push(() => loader.close());
  const loaded = await loader.load(options.configFile);
  if (!loaded.ok) return loaded;
  const { config } = loaded.value;

  const authority = await openCertificateAuthority({
    stateDir: directory.value.path,
    mesh: config.name,
    trustDomain: config.trustDomain,
    clock: systemClock,
    ttlMs: config.identity.ttlMs,
  });
  if (!authority.ok) return authority;
  const bundle = path.join(directory.value.identity, 'ca-bundle.pem');
  const written = await writeFile(bundle, await bundleWithSystemRoots(authority.value.rootPem, { preferred: process.env.SSL_CERT_FILE })).then(
    () => true,
    () => false,
  );

  const logs = new LogStore({ directory: directory.value, clock: systemClock });
  closers.push(() => logs.close());
  const mesh = new Mesh({
    loaded: loaded.value,
    services: options.services,
    authority: authority.value,
    ledger: ledger.value,
    logs,
    launcher: new DataPlaneLauncher(path.join(packageRoot(), 'dist', 'data-plane.js'), path.join(directory.value.path, 'data-plane.log'), ledger.value),
    trustEnvironment: trustEnvironment(authority.value.rootPath, written ? bundle : null),
  });
  for (const notice of authority.value.notices) mesh.tell('warning', '', notice.message, [notice]);

  let end: () => void = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  let server: ControlServer | null = null;
  let watcher: ConfigWatcher | null = null;
  let finishing: Promise<void> | null = null;
  const finish = async () => {
    await watcher?.close();
    await server?.close();
    for (const close of closers.reverse()) await close();
    end();
  };
  /** Whoever takes the mesh down, the daemon ends with it, after the answer has left. */
  const control = Object.assign(Object.create(mesh) as Mesh, {
    async down(timeoutMs: number, progress: (line: string) => void) {
      const result = await mesh.down(timeoutMs, progress);
      setImmediate(() => {
        finishing ??= finish();
      });
      return result;
    },
  });
  const stop = () => void control.down(SIGNAL_TIMEOUT_MS, () => {});

  const parent = watchParent(options.parentPid, stop);
  closers.push(() => parent.stop());
  const serving = await serveControl(control, directory.value.controlSocket, { onAttachedClientGone: stop, onAttached: () => parent.stop() });
  if (!serving.ok) return serving;
  server = serving.value;
  const booted = await mesh.boot();
  if (!booted.ok) {
    await mesh.down(0, () => {});
    await server.close();
    return booted;
  }
  watcher = new ConfigWatcher({
    loader,
    file: options.configFile,
    initial: loaded.value,
    extraFiles: () => mesh.watchedFiles,
    onLoaded: (result) => mesh.reload(result),
    onWarnings: (problems: readonly Problem[]) => mesh.tell('warning', '', 'the type checker has something to say about mesh.config.ts', problems),
  });
  return ok({ ended, stop });
}

/** Until the client that started us has attached, its death is seen only by looking. */
function watchParent(pid: number, onGone: () => void): { stop(): void } {
  const parent = pid > 0 ? readProcess(pid) : null;
  if (parent === null) return { stop: () => {} };
  const timer = setInterval(() => {
    if (isRunning(parent)) return;
    clearInterval(timer);
    onGone();
  }, PARENT_INTERVAL_MS);
  return { stop: () => clearInterval(timer) };
}

/** Programs find the mesh's root beside the system's by these, whatever they are written in. */
function trustEnvironment(rootPath: string, bundle: string | null): Record<string, string> {
  const replace: Record<string, string> =
    bundle === null ? {} : { SSL_CERT_FILE: bundle, REQUESTS_CA_BUNDLE: bundle, CURL_CA_BUNDLE: bundle, GIT_SSL_CAINFO: bundle };
  return { NODE_EXTRA_CA_CERTS: rootPath, DENO_CERT: rootPath, ...replace };
}
