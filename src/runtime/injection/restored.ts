import { isRunning, readProcess } from '../state/process-table.ts';
import { isLocal } from './checks.ts';
import type { Injected } from './injected.ts';
import { accepts } from './liveness.ts';
import type { SavedInjection } from './saved.ts';

const LOCAL_MS = 500;
const REMOTE_MS = 1_000;

/**
 * An injection of a daemon that died, as it is now. Text: why it is none any more. A process counts as the same by its
 * pid and start time; one whose pid was never known, by its address.
 */
export async function restored(saved: SavedInjection): Promise<Injected | string> {
  const { pid, startTime, host, port, sticky, own } = saved;
  const same = pid === null || startTime === null || isRunning({ pid, startTime });
  const listens = same && (await accepts(host, port, isLocal(host) ? LOCAL_MS : REMOTE_MS));
  const waits = own && same && (pid !== null || saved.state === 'waiting');
  if (!listens && !waits && !sticky)
    return same ? `nothing listens on ${host}:${port} any more` : `pid ${pid} has ended`;
  const injected: Injected = {
    ...saved,
    state: listens ? 'ready' : waits ? 'waiting' : 'gone',
    leaving: false,
    coverage: [],
    goneAtMs: performance.now(),
  };
  if (injected.state === 'gone') setProcess(injected, null);
  return injected;
}

/** Notes which process it is, so that a later one of the same pid is not taken for it. */
export function setProcess(injected: Injected, pid: number | null): void {
  injected.pid = pid;
  injected.startTime = pid === null ? null : (readProcess(pid)?.startTime ?? null);
}
