import { isDeepStrictEqual } from 'node:util';
import type { Coverage } from '../../../model/injection.ts';
import { ok, type Result } from '../../../model/result.ts';
import { isRunning } from '../../state/process-table.ts';
import type { InterceptedWorkload, Interception } from '../interception.ts';
import { attachCoverage } from './attach-coverage.ts';
import { type AttachedProcess, openAttachments } from './attachments-file.ts';
import { type Inspector, inOwnTurn, openInspector } from './inspector.ts';
import { findNodeProcess, type NodeProcess, nodeDescendants } from './node-process.ts';
import { ATTACHMENT, install, type Moved, probeClients, probeDestination } from './patch.ts';
import { openProbeListener, type ProbeListener } from './probe-listener.ts';
import { PROBE_HOST, type RedirectTable, redirectTable, withFormer, withProbe } from './redirect-table.ts';

const KEY = JSON.stringify(ATTACHMENT);
const HELD = `globalThis[Symbol.for(${KEY})]`;
/** Sockets and workers alike: each search walks the whole heap. */
const EMITTERS = "require('node:events').EventEmitter.prototype";

/**
 * Leads the clients of a live Node.js process to its outbound side through its inspector: what is patched is the one
 * place that all of them connect by. The inspector is open only while something is done.
 * @param stateDir `.mesh`
 */
export function createAttach(stateDir: string): Interception {
  const records = openAttachments(stateDir);
  /** What each process was told last, to leave it alone when nothing has changed. */
  const applied = new Map<string, { process: AttachedProcess; table: RedirectTable; coverage: Coverage[] }>();
  // Inspectors open on the same port: one process after another.
  let queue: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const run = queue.then(work);
    queue = run.catch(() => undefined);
    return run;
  };

  const apply = async (workload: InterceptedWorkload): Promise<Result<Coverage[]>> => {
    const target = findNodeProcess(workload.pid);
    if (!target.ok) return target;
    const { pid, startTime } = target.value;
    const process: AttachedProcess = { instance: workload.instance, pid, startTime };
    const last = applied.get(workload.instance);
    const same = last !== undefined && isDeepStrictEqual(last.process, process);
    const table = withFormer(redirectTable(workload, stateDir), same ? last.table : null);
    if (same && isDeepStrictEqual(last.table, table)) return ok(last.coverage);
    const known = records.all().some((entry) => isDeepStrictEqual(entry, process));
    const recorded = records.add(process);
    if (!recorded.ok) return recorded;
    const patched = await withInspector(target.value, (inspector) => patch(inspector, workload, table));
    if (patched.ok) applied.set(workload.instance, { process, table, coverage: patched.value });
    // No answer: the patch may be in there, for `recover` or `remove` to find.
    else if (!known && !patched.problems.some(({ code }) => code === 'MESH-J205')) records.remove(workload.instance);
    return patched;
  };

  const remove = async (attached: AttachedProcess): Promise<Result<void>> => {
    if (!isRunning(attached)) return ok(undefined);
    const target = findNodeProcess(attached.pid);
    if (!target.ok) return target;
    return withInspector(target.value, (inspector) => restore(inspector, stateDir));
  };

  const removeRecorded = async (attached: AttachedProcess): Promise<Result<void>> => {
    applied.delete(attached.instance);
    const removed = await remove(attached);
    if (removed.ok || !isRunning(attached)) {
      records.remove(attached.instance);
      return ok(undefined);
    }
    return removed;
  };

  return {
    name: 'attach',
    apply: (workload) => inTurn(() => apply(workload)),
    remove: (instance) =>
      inTurn(async () => {
        const attached = records.all().find((entry) => entry.instance === instance);
        return attached === undefined ? ok(undefined) : removeRecorded(attached);
      }),
    recover: () =>
      inTurn(async () => {
        for (const attached of records.all()) await removeRecorded(attached);
      }),
  };
}

async function withInspector<T>(
  target: NodeProcess,
  work: (inspector: Inspector) => Promise<Result<T>>,
): Promise<Result<T>> {
  const opened = await openInspector(target);
  if (!opened.ok) return opened;
  try {
    return await work(opened.value);
  } finally {
    await opened.value.close();
  }
}

/** Installs or updates the patch, has every kind of client try it, and moves the connections that are open. */
async function patch(
  inspector: Inspector,
  workload: InterceptedWorkload,
  table: RedirectTable,
): Promise<Result<Coverage[]>> {
  const listener = await openProbeListener();
  try {
    const installed = await inspector.evaluate(installation(withProbe(table, listener.port)));
    if (!installed.ok) return installed;
    const checked = await check(inspector, workload, table, listener);
    // Half an attachment would be worse than none.
    if (!checked.ok) await restore(inspector, table.owner);
    return checked;
  } finally {
    listener.close();
  }
}

async function check(
  inspector: Inspector,
  workload: InterceptedWorkload,
  table: RedirectTable,
  listener: ProbeListener,
): Promise<Result<Coverage[]>> {
  const probed = await inspector.evaluate(inOwnTurn(`(${probeClients})(load, ${JSON.stringify(PROBE_HOST)})`));
  if (!probed.ok) return probed;
  const reached: Record<string, number | null> = {};
  for (const service of Object.keys(workload.destinations)) {
    const taken = await inspector.evaluate<number | null>(
      inOwnTurn(`(${probeDestination})(load, ${JSON.stringify(service)})`),
    );
    reached[service] = taken.ok ? taken.value : null;
  }
  const updated = await inspector.evaluate(installation(table));
  if (!updated.ok) return updated;
  const objects = await inspector.instancesOf(EMITTERS);
  if (!objects.ok) return objects;
  const found = await inspector.call<{ moved: Moved; workers: number[] }>(
    objects.value,
    `async function () { return { moved: await ${HELD}.release(this), workers: ${HELD}.workers(this) } }`,
  );
  if (!found.ok) return found;
  return ok(
    attachCoverage(workload, {
      arrived: listener.arrived,
      reached,
      moved: found.value.moved,
      workerThreads: found.value.workers,
      children: nodeDescendants(workload.pid),
    }),
  );
}

/** Puts everything back, and has pools give up the connections that go through the mesh. */
async function restore(inspector: Inspector, owner: string): Promise<Result<void>> {
  const objects = await inspector.instancesOf(EMITTERS);
  if (!objects.ok) return objects;
  const restored = await inspector.call(
    objects.value,
    `async function () {
      const attachment = ${HELD};
      if (attachment === undefined || attachment.table.owner !== ${JSON.stringify(owner)}) return;
      attachment.restore();
      await attachment.release(this);
    }`,
  );
  return restored.ok ? ok(undefined) : restored;
}

function installation(table: RedirectTable): string {
  return inOwnTurn(`(${install})(load, ${KEY}, ${JSON.stringify(table)})`);
}
