import { setTimeout as delay } from 'node:timers/promises';
import { fail, ok, type Result } from '../../model/result.ts';
import { systemClock } from '../clock.ts';
import { type ControlClient, ControlError, connectControl } from '../control/client.ts';
import { recoverInterceptions } from '../injection/interceptions.ts';
import { forgetInjections } from '../injection/saved.ts';
import { undoRecorded } from '../injection/transparent/undo.ts';
import { openLedger } from '../state/ledger.ts';
import { findMeshDirectory } from '../state/mesh-directory.ts';
import { acquireMeshLock, lockOwner } from '../state/mesh-lock.ts';
import { describeOwner } from '../state/port-owner.ts';
import { isRunning, readProcess, signalProcess } from '../state/process-table.ts';
import { recover } from '../state/recovery.ts';
import type { MeshLocation } from './locate.ts';

/** After the services are gone, for the daemon to leave. */
const DAEMON_EXIT_MS = 3_000;
/** For a process to disappear after SIGKILL. */
const KILL_MS = 2_000;

export type DownOutcome =
  | { kind: 'nothing' }
  | { kind: 'stopped' }
  /** The daemon was dead or did not answer; so many processes had been left. */
  | { kind: 'recovered'; processes: number };

/** Stops the mesh of this place, whatever state it is in. @param timeoutMs until what is left is killed. */
export async function bringDown(
  location: MeshLocation,
  timeoutMs: number,
  progress: (line: string) => void,
): Promise<Result<DownOutcome>> {
  const connected = await connectControl(location.socketPath);
  if (connected.ok) {
    try {
      const stopped = await stopThrough(connected.value, timeoutMs, progress);
      if (stopped !== null) {
        if (!stopped.ok) return stopped;
        // What the daemon could not undo: this command may have rights that the daemon had not.
        const directory = findMeshDirectory(location.baseDir);
        const undone = directory === null ? ok(false) : await undoRecorded(directory.path);
        return undone.ok ? stopped : undone;
      }
      const rest = await recoverMesh(location, timeoutMs, progress);
      return rest.ok && rest.value.kind === 'nothing' ? ok({ kind: 'stopped' }) : rest;
    } finally {
      connected.value.close();
    }
  } else if (connected.problems[0].code === 'MESH-R105') return connected;
  return recoverMesh(location, timeoutMs, progress);
}

/** Null: the daemon died or hangs, and somebody else has to finish. */
export async function stopThrough(
  client: ControlClient,
  timeoutMs: number,
  progress: (line: string) => void,
): Promise<Result<DownOutcome> | null> {
  const patience = new AbortController();
  try {
    const { pid } = await client.status();
    const daemon = readProcess(pid);
    const result = await Promise.race([
      client.down(timeoutMs, progress),
      delay(timeoutMs + DAEMON_EXIT_MS + KILL_MS, null, { signal: patience.signal }),
    ]);
    if (result === null) return null;
    if (!result.ok) return result;
    if (daemon !== null && !(await gone(daemon, DAEMON_EXIT_MS))) {
      progress(`the daemon (pid ${pid}) does not end`);
      return null;
    }
    return ok({ kind: 'stopped' });
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    progress('the connection to the daemon was lost, going on without it');
    return null;
  } finally {
    patience.abort();
  }
}

/** Without a daemon: ends what the ledger has on record, the daemon itself first if it hangs. */
async function recoverMesh(
  location: MeshLocation,
  timeoutMs: number,
  progress: (line: string) => void,
): Promise<Result<DownOutcome>> {
  const directory = findMeshDirectory(location.baseDir);
  if (directory === null) return ok({ kind: 'nothing' });
  const owner = lockOwner(directory.path);
  if (owner !== null) {
    progress(`the daemon (pid ${owner.pid}) does not answer, killing it`);
    signalProcess(owner, 'SIGKILL');
    if (!(await gone(owner, KILL_MS))) {
      return fail({
        code: 'MESH-P106',
        message: `the daemon (pid ${owner.pid}) cannot be killed`,
        hint: 'it is stuck in the kernel (a network file system?) or belongs to another user; see `ps -o state,wchan`',
      });
    }
  }
  // Held meanwhile, so that no `mesh up` starts what this is about to end.
  const lock = acquireMeshLock(directory.path);
  if (!lock.ok) return lock;
  const ledger = openLedger(directory.ledger, directory.key);
  if (!ledger.ok) {
    lock.value.release();
    return ledger;
  }
  try {
    await recoverInterceptions(directory.path);
    forgetInjections(directory.path);
    const report = await recover(ledger.value, { clock: systemClock, graceMs: timeoutMs, killMs: KILL_MS, progress });
    // What could not be undone above, now that the processes are gone; what still cannot be is this command's failure.
    const undone = await undoRecorded(directory.path);
    const left = [
      ...report.remaining.map(({ pid, instance, command }) => `${instance} (pid ${pid}, ${command}) cannot be killed`),
      ...report.boundPorts.map(
        ({ port, instance, owner }) => `port ${port} of ${instance} is held by ${describeOwner(owner)}`,
      ),
    ];
    if (report.remaining.length > 0) {
      return fail({
        code: 'MESH-P106',
        message: 'not everything could be stopped',
        hint: left.join('\n'),
      });
    }
    for (const line of left) progress(line);
    if (!undone.ok) return undone;
    if (report.ended.length === 0 && owner === null && !undone.value) return ok({ kind: 'nothing' });
    return ok({ kind: 'recovered', processes: report.ended.length });
  } finally {
    ledger.value.close();
    lock.value.release();
  }
}

async function gone(process: { pid: number; startTime: string }, deadlineMs: number): Promise<boolean> {
  const end = Date.now() + deadlineMs;
  while (isRunning(process)) {
    if (Date.now() > end) return false;
    await delay(10);
  }
  return true;
}
