import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { fail, type Problem, type Result } from '../../model/result.ts';
import { type ControlClient, connectControl } from '../control/client.ts';
import { packageEntry } from '../control/package-root.ts';
import { loadControlService } from '../control/proto.ts';
import { readStartupReport } from '../control/startup-report.ts';
import { openMeshDirectory, storageProblem } from '../state/mesh-directory.ts';
import { locateMesh, type MeshLocation } from './locate.ts';

export interface LaunchOptions {
  /** The daemon ends its mesh if this process dies before it attached; 0: the mesh is on its own. */
  parentPid: number;
  /** Empty: all. */
  services: readonly string[];
  /** Until the control socket has to answer. */
  deadlineMs: number;
  /** Program and first arguments; default: the daemon of this package. */
  command?: readonly string[];
}

/** Another daemon of the same mesh was first: by its lock, or by its socket. */
export const ALREADY_RUNNING: ReadonlySet<string> = new Set(['MESH-S110', 'MESH-R102']);
/** For one try to connect. */
const CONNECT_MS = 1_000;
/** Lines of daemon.log shown when it died without a report. */
const LAST_LINES = 15;

/**
 * Starts the daemon in a session of its own, so that Ctrl-C reaches only the client, and waits until it answers.
 * @returns what the daemon reported, or MESH-R109 if it died without a word, MESH-R104 if it does not get ready.
 */
export async function launchDaemon(location: MeshLocation, options: LaunchOptions): Promise<Result<ControlClient>> {
  const directory = openMeshDirectory(location.baseDir);
  if (!directory.ok) return directory;
  const logFile = path.join(location.stateDir, 'daemon.log');
  let log: number;
  try {
    mkdirSync(location.stateDir, { recursive: true, mode: 0o700 });
    log = openSync(logFile, 'a', 0o600);
  } catch (error) {
    return fail(storageProblem(logFile, error));
  }
  const logStart = statSync(logFile).size;
  const [program, ...first] = options.command ?? daemonCommand();
  const services = options.services.length > 0 ? ['--services', options.services.join(',')] : [];
  const child = spawn(
    program,
    [
      ...first,
      ...['--config', location.configFile, '--parent', String(options.parentPid), '--report-fd', '3'],
      ...services,
    ],
    { cwd: location.baseDir, detached: true, stdio: ['ignore', log, log, 'pipe'] },
  );
  closeSync(log);
  const pipe = child.stdio[3] as Readable;
  try {
    const deadlineAt = Date.now() + options.deadlineMs;
    // While the daemon starts there is time for what the connection to it will take.
    setImmediate(loadControlService);
    const problems = await startupProblems(child, pipe, deadlineAt, () => lastLines(logFile, logStart));
    if (problems.length > 0) return fail(...problems);
    const connected = await connectBefore(
      location,
      deadlineAt,
      () => child.exitCode !== null || child.signalCode !== null,
    );
    if (connected.ok || (child.exitCode === null && child.signalCode === null)) return connected;
    return fail(endedAtStart(howItEnded(child.exitCode, child.signalCode), lastLines(logFile, logStart)));
  } finally {
    pipe.destroy();
    child.unref();
  }
}

/** Empty: it is up. */
async function startupProblems(
  child: ChildProcess,
  pipe: Readable,
  deadlineAt: number,
  output: () => string[],
): Promise<readonly Problem[]> {
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(howItEnded(code, signal)));
  });
  const timeout = new AbortController();
  try {
    const report = await Promise.race([
      readStartupReport(pipe),
      delay(Math.max(0, deadlineAt - Date.now()), 'late' as const, { signal: timeout.signal }),
    ]);
    if (report === 'late') {
      return [
        {
          code: 'MESH-R104',
          message: `the daemon (pid ${child.pid}) did not get ready in time`,
          hint: `see .mesh/daemon.log; \`mesh down\` ends it\n${output().join('\n')}`.trimEnd(),
        },
      ];
    }
    if (report !== null) return report;
    return [endedAtStart(await ended, output())];
  } finally {
    timeout.abort();
  }
}

const howItEnded = (code: number | null, signal: NodeJS.Signals | null): string =>
  signal === null ? `exit code ${code}` : `signal ${signal}`;

const endedAtStart = (how: string, output: readonly string[]): Problem => ({
  code: 'MESH-R109',
  message: `the daemon ended at its start: ${how}`,
  hint:
    output.length === 0
      ? '`mesh down` ends what it may have started; then try again'
      : `last lines of .mesh/daemon.log:\n${output.join('\n')}`.trimEnd(),
});

/** The client of a mesh that is just being started, by us or by another `mesh up`. `isOver`: its daemon is gone. */
export async function connectBefore(
  location: MeshLocation,
  deadlineAt: number,
  isOver: () => boolean = () => false,
): Promise<Result<ControlClient>> {
  for (;;) {
    // Anew each time: the daemon may have chosen another path for its socket.
    const current = locateMesh(location.baseDir, location.configFile, false);
    const socketPath = current.ok ? current.value.socketPath : location.socketPath;
    // In short turns: a daemon that dies between the two steps of a connection would be waited for to the end.
    const connected = await connectControl(socketPath, Math.min(CONNECT_MS, Math.max(100, deadlineAt - Date.now())));
    if (connected.ok || Date.now() >= deadlineAt || isOver()) return connected;
    await delay(20);
  }
}

function daemonCommand(): string[] {
  const entry = packageEntry('daemon');
  // From a checkout that is not built: tsx, as this process is run by.
  const loader = entry.endsWith('.ts') ? ['--import', createRequire(import.meta.url).resolve('tsx')] : [];
  return [process.execPath, ...loader, entry];
}

function lastLines(file: string, from: number): string[] {
  if (!existsSync(file)) return [];
  const text = readFileSync(file).subarray(from).toString('utf8').trimEnd();
  return text === '' ? [] : text.split('\n').slice(-LAST_LINES);
}
