import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fail, type Problem, type Result } from '../model/result.ts';
import { systemClock } from './clock.ts';
import { ConfigLoader } from './config/config-loader.ts';
import { ConfigWatcher } from './config/config-watcher.ts';
import { packageRoot } from './control/package-root.ts';
import { serveControl } from './control/server.ts';
import { openCertificateAuthority } from './identity/certificate-authority.ts';
import { bundleWithSystemRoots } from './identity/system-roots.ts';
import { Mesh, stoppedMeanwhile } from './mesh.ts';
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
  /** Resolves when the mesh runs, or with what is in the way; then everything is closed. */
  readonly started: Promise<Result<void>>;
  /** Resolves when the mesh is down and everything is closed. */
  readonly ended: Promise<void>;
  /** For signals: takes the mesh down, also while it starts; a second call forces. */
  stop(): void;
}

/** What has been opened so far, and what a request to end has to know of it. */
interface Opened {
  readonly closers: (() => unknown)[];
  mesh: Mesh | null;
  stopRequested: boolean;
  stop(): void;
  finish(): void;
}

/**
 * The control plane of one mesh: opens what it stands on in order, and closes it in the reverse one. The lock comes
 * first, so that nothing below is ever shared by two daemons.
 */
export function startDaemon(options: DaemonOptions): Daemon {
  let finishing = false;
  let end: () => void = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const opened: Opened = {
    closers: [],
    mesh: null,
    stopRequested: false,
    stop() {
      opened.stopRequested = true;
      void opened.mesh?.down(SIGNAL_TIMEOUT_MS, () => {});
    },
    finish() {
      if (finishing) return;
      finishing = true;
      void (async () => {
        for (const close of opened.closers.splice(0).reverse()) await close();
        end();
      })();
    },
  };
  const started = compose(options, opened).then(async (result) => {
    if (result.ok) return result;
    opened.finish();
    await ended;
    return result;
  });
  return { started, ended, stop: () => opened.stop() };
}

async function compose(options: DaemonOptions, opened: Opened): Promise<Result<void>> {
  const { closers } = opened;
  const parent = watchParent(options.parentPid, () => opened.stop());
  closers.push(() => parent.stop());
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
  if (opened.stopRequested) return fail(stoppedMeanwhile());
  const { config } = loaded.value;

  const authority = await openCertificateAuthority({
    stateDir: directory.value.path,
    mesh: config.name,
    trustDomain: config.trustDomain,
    clock: systemClock,
    ttlMs: config.identity.ttlMs,
  });
  if (!authority.ok) return authority;
  const { rootPem, rootPath, notices } = authority.value;
  const bundle = path.join(directory.value.identity, 'ca-bundle.pem');
  const written = await writeFile(
    bundle,
    await bundleWithSystemRoots(rootPem, { preferred: process.env.SSL_CERT_FILE }),
  ).then(
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
    stateDir: directory.value.path,
    launcher: new DataPlaneLauncher(
      path.join(packageRoot(), 'dist', 'data-plane.js'),
      path.join(directory.value.path, 'data-plane.log'),
      ledger.value,
    ),
    trustEnvironment: trustEnvironment(rootPath, written ? bundle : null),
    onEnded: () => opened.finish(),
  });
  for (const notice of [...notices, ...(loaded.warnings ?? [])]) mesh.tell('warning', '', notice.message, [notice]);

  const serving = await serveControl(mesh, directory.value.controlSocket, {
    onAttachedClientGone: () => opened.stop(),
    onAttached: () => parent.stop(),
  });
  if (!serving.ok) return serving;
  closers.push(() => serving.value.close());
  opened.mesh = mesh;
  if (opened.stopRequested) opened.stop();
  const booted = await mesh.boot();
  if (!booted.ok) {
    await mesh.down(0, () => {});
    return booted;
  }
  // Taken down by now: what is opened would never be closed.
  if (mesh.isStopping) return booted;
  const watcher = new ConfigWatcher({
    loader,
    file: options.configFile,
    initial: loaded.value,
    extraFiles: () => mesh.watchedFiles,
    onLoaded: (result) => mesh.reload(result),
    onWarnings: (problems: readonly Problem[]) =>
      mesh.tell('warning', '', 'the type checker has something to say about mesh.config.ts', problems),
  });
  closers.push(() => watcher.close());
  return booted;
}

/** Until the client that started us has attached, its death is seen only by looking. */
function watchParent(pid: number, onGone: () => void): { stop(): void } {
  if (pid <= 0) return { stop: () => {} };
  const parent = readProcess(pid);
  if (parent === null) {
    onGone();
    return { stop: () => {} };
  }
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
    bundle === null
      ? {}
      : { SSL_CERT_FILE: bundle, REQUESTS_CA_BUNDLE: bundle, CURL_CA_BUNDLE: bundle, GIT_SSL_CAINFO: bundle };
  return { NODE_EXTRA_CA_CERTS: rootPath, DENO_CERT: rootPath, ...replace };
}
