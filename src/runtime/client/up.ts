import { setTimeout as delay } from 'node:timers/promises';
import { ok, type Problem, type Result } from '../../model/result.ts';
import type { LogLine, MeshStatus } from '../../model/status.ts';
import type { ControlClient } from '../control/client.ts';
import { connectControl } from '../control/client.ts';
import type { MeshNotice } from '../control/mesh-control.ts';
import { ALREADY_RUNNING, connectBefore, launchDaemon } from './daemon-launch.ts';
import { exitCodes } from './exit-codes.ts';
import { CommandFailure, unwrap } from './failure.ts';
import { feedLive, type LiveView } from './live-feed.ts';
import type { MeshLocation } from './locate.ts';
import { type PendingInstance, type Readiness, readinessOf } from './readiness.ts';

/** Where `mesh up` shows what happens: plain lines, the terminal view (with live traffic), or NDJSON. */
export interface UpView extends Partial<LiveView> {
  status(status: MeshStatus): void;
  logs(lines: LogLine[]): void;
  notice(notice: MeshNotice): void;
  /** All that was asked for is ready. */
  ready(status: MeshStatus, tookMs: number | null): void;
  /** About the mesh as a whole: that it stops, what is in the way. */
  say(text: string): void;
  /** Puts the terminal back in order. */
  close(): Promise<void>;
}

export interface UpOptions {
  location: MeshLocation;
  /** Empty: all. */
  services: readonly string[];
  /** Program of the daemon; default: that of this package. */
  daemonCommand?: readonly string[];
  /** For services to stop after Ctrl-C. */
  stopTimeoutMs: number;
  /** Log lines of each instance shown first where the mesh ran already. Default: 20. */
  tail?: number;
}

/** For the daemon to answer; it starts its services after that. */
const DAEMON_START_MS = 30_000;
/** Lines of log shown for each service that failed. */
const FAILURE_LOG_LINES = 10;

export interface StartedMesh {
  client: ControlClient;
  /** False: it ran already. */
  launched: boolean;
  startedAtMs: number;
}

/** Connects to the mesh that runs here, or starts one. Services named are started in either case. */
export async function startMesh(options: UpOptions, parentPid: number): Promise<StartedMesh> {
  const startedAtMs = Date.now();
  const running = await connectControl(options.location.socketPath);
  if (running.ok) return joinMesh(running.value, options.services, startedAtMs);
  if (running.problems[0].code !== 'MESH-R101') unwrap(running);
  const launched = await launchDaemon(options.location, {
    parentPid,
    services: options.services,
    deadlineMs: DAEMON_START_MS,
    command: options.daemonCommand,
  });
  if (launched.ok) return { client: launched.value, launched: true, startedAtMs };
  if (!ALREADY_RUNNING.has(launched.problems[0].code)) unwrap(launched);
  // Another `mesh up` was first by a moment: join what it starts.
  const other = unwrap(await connectBefore(options.location, Date.now() + DAEMON_START_MS));
  return joinMesh(other, options.services, startedAtMs);
}

async function joinMesh(client: ControlClient, services: readonly string[], startedAtMs: number) {
  try {
    unwrap(await askToStart(client, services));
  } catch (error) {
    client.close();
    throw error;
  }
  return { client, launched: false, startedAtMs };
}

/** Each start resolves when its service is ready; how they fare shows in the status. Problems: some cannot begin at all. */
async function askToStart(client: ControlClient, services: readonly string[]): Promise<Result<void>> {
  if (services.length === 0) return ok(undefined);
  const seen = new AbortController();
  const outcomes = services.map((service) => client.start(service));
  const refused = Promise.all(outcomes).then(
    (results) => results.find((result) => !result.ok && result.problems[0].code.startsWith('MESH-U')) ?? ok(undefined),
  );
  // Services that were left out of this run so far join the status.
  const begun = (async () => {
    for await (const status of client.watchStatus(seen.signal))
      if (services.every((name) => status.services.some((service) => service.name === name))) break;
    return ok(undefined);
  })();
  const first = await Promise.race([refused, begun]);
  seen.abort();
  refused.catch(() => undefined);
  begun.catch(() => undefined);
  return first;
}

/**
 * `mesh up -d`: waits until everything asked for is ready. The mesh goes on in any case.
 * @throws CommandFailure with the last log lines of what failed (exit code 1), or after the time limit (4).
 */
export async function waitUntilReady(
  { client, launched }: StartedMesh,
  services: readonly string[],
  timeoutMs: number,
  onStatus: (status: MeshStatus) => void,
): Promise<MeshStatus> {
  const limit = AbortSignal.timeout(timeoutMs);
  const causes = collectCauses(client, limit);
  let first: MeshStatus | null = null;
  let last: MeshStatus | null = null;
  for await (const status of client.watchStatus(limit)) {
    first ??= status;
    last = status;
    onStatus(status);
    const readiness = readinessOf(status, 'ready', launched ? services : runningServices(status, services));
    if (readiness.kind === 'reached' && status.state === 'running') return status;
    const failed = readiness.kind === 'failed' ? readiness.instances : crashLoops(readiness, first, status);
    if (failed.length > 0) {
      throw new CommandFailure(
        failed.map(({ service, instance, why }) => ({
          code: causes.get(service)?.code ?? 'MESH-P103',
          message: `${instance} ${why}`,
          hint: `${causes.get(service)?.hint ?? `more with \`mesh logs ${service}\``}; the mesh keeps running, \`mesh down\` stops it`,
        })),
        exitCodes.failed,
        await lastLogLines(client, [...new Set(failed.map(({ service }) => service))]),
      );
    }
  }
  if (!limit.aborted) {
    throw new CommandFailure([stoppedMeanwhile], exitCodes.failed);
  }
  const waiting = last === null ? [] : pendingOf(last, services);
  throw new CommandFailure(
    [
      {
        code: 'MESH-U105',
        message: `not ready after ${timeoutMs / 1000} s: ${waiting.join('; ') || 'the mesh is still starting'}`,
        hint: 'the mesh keeps running: see `mesh ps` and `mesh logs`, or wait longer with `--timeout`',
      },
    ],
    exitCodes.timedOut,
  );
}

/** Restarts while somebody waits after which it is told that a service keeps failing; by default that is some 6 s. */
const CRASH_LOOP_RESTARTS = 5;

/** Those that are restarted again and again: they may come up one day, but whoever waits wants to know now. */
function crashLoops(readiness: Readiness, first: MeshStatus, now: MeshStatus): PendingInstance[] {
  if (readiness.kind !== 'pending') return [];
  const restartsIn = (status: MeshStatus) =>
    new Map(status.services.flatMap(({ instances }) => instances.map(({ id, restarts }) => [id, restarts] as const)));
  const before = restartsIn(first);
  const after = restartsIn(now);
  return readiness.instances.filter(
    ({ instance }) => (after.get(instance) ?? 0) - (before.get(instance) ?? 0) >= CRASH_LOOP_RESTARTS,
  );
}

/** What the daemon said last about each service that went wrong: it knows the code and the remedy. */
function collectCauses(client: ControlClient, signal: AbortSignal): ReadonlyMap<string, Problem> {
  const causes = new Map<string, Problem>();
  pump(client.watchNotices(signal), ({ level, service, problems }) => {
    const cause = problems.findLast(({ hint }) => hint !== undefined) ?? problems.at(-1);
    if (level === 'error' && cause !== undefined) causes.set(service, cause);
  }).catch(() => undefined);
  return causes;
}

/** A service that somebody stopped on purpose is not waited for when joining a mesh that runs. */
function runningServices(status: MeshStatus, services: readonly string[]): readonly string[] {
  if (services.length > 0) return services;
  return status.services
    .filter(({ instances }) => instances.some(({ state }) => state !== 'stopped'))
    .map(({ name }) => name);
}

function pendingOf(status: MeshStatus, services: readonly string[]): string[] {
  const readiness = readinessOf(status, 'ready', services);
  return readiness.kind === 'reached' ? [] : readiness.instances.map(({ instance, why }) => `${instance} ${why}`);
}

async function lastLogLines(client: ControlClient, services: string[]): Promise<string[]> {
  const query = { services, tail: FAILURE_LOG_LINES, sinceMs: null, follow: false };
  const lines: string[] = [];
  for await (const batch of client.logs(query, AbortSignal.timeout(2_000))) {
    lines.push(...batch.map(({ instance, text }) => `  ${instance} │ ${text}`));
  }
  return lines.slice(-FAILURE_LOG_LINES * services.length);
}

const stoppedMeanwhile = {
  code: 'MESH-R106',
  message: 'the mesh was stopped meanwhile',
  hint: 'by `mesh down` in another terminal, or by its own `mesh up`; start it again with `mesh up`',
};

/** Requests of the user to a `mesh up` in the foreground. */
export interface Interrupts {
  /** Called for Ctrl-C, `q` and SIGTERM; the listener takes the place of the default action. */
  listen(listener: () => void): () => void;
}

/** `mesh up` in the foreground: shows what happens until the mesh ends, and ends it on request. */
export async function followMesh(
  mesh: StartedMesh,
  options: UpOptions,
  view: UpView,
  interrupts: Interrupts,
): Promise<void> {
  const { client, launched, startedAtMs } = mesh;
  const streams = new AbortController();
  const attachment = launched ? await client.attach() : null;
  let last: MeshStatus | null = null;
  let announced = false;
  let stopping = 0;
  let settle: { resolve(result: Result<void>): void; reject(error: unknown): void };
  const ended = new Promise<Result<void>>((resolve, reject) => {
    settle = { resolve, reject };
  });

  const onStatus = (status: MeshStatus) => {
    last = status;
    view.status(status);
    if (announced || readinessOf(status, 'ready', options.services).kind !== 'reached') return;
    if (status.state !== 'running') return;
    announced = true;
    view.ready(status, launched ? Date.now() - startedAtMs : null);
  };
  const stop = () => {
    stopping++;
    if (!launched) {
      view.say('left; the mesh runs on, `mesh down` stops it');
      settle.resolve(ok(undefined));
    } else if (stopping === 1) {
      view.say('stopping, Ctrl-C again to force');
      bring(options.stopTimeoutMs);
    } else if (stopping === 2) {
      view.say('killing what is left');
      bring(0);
    } else settle.reject(new CommandFailure([notWaited], exitCodes.failed));
  };
  const bring = (timeoutMs: number) => {
    client.down(timeoutMs, (line) => view.say(line)).then(settle.resolve, settle.reject);
  };
  const unlisten = interrupts.listen(stop);

  const query = {
    services: [...options.services],
    tail: launched ? null : (options.tail ?? 20),
    sinceMs: launched ? startedAtMs : null,
    follow: true,
  };
  const signal = streams.signal;
  const end = (error: unknown) => {
    if (stopping > 0) return;
    const lastState = last?.state;
    if (lastState === 'stopping' || lastState === 'stopped') settle.resolve(ok(undefined));
    else settle.reject(error);
  };
  pump(client.watchStatus(signal), onStatus).then(() => {
    if (stopping > 0 || signal.aborted) return;
    view.say('the mesh was stopped from elsewhere');
    settle.resolve(ok(undefined));
  }, end);
  pump(client.watchNotices(signal), (notice) => view.notice(notice)).catch(end);
  pump(client.logs(query, signal), (lines) => view.logs(lines)).catch(end);
  const { live, onLook } = view;
  if (live !== undefined && onLook !== undefined) feedLive(client, { live, onLook }, () => last, signal);

  try {
    unwrap(await ended);
    if (stopping > 0 && launched) {
      await Promise.race([attachment?.ended, delay(1_000, undefined, { ref: false })]);
      view.say(`${(last as MeshStatus | null)?.mesh ?? 'the mesh'} is stopped`);
    }
  } finally {
    unlisten();
    streams.abort();
    await view.close();
    client.close();
  }
}

const notWaited = {
  code: 'MESH-P106',
  message: 'left before everything was stopped',
  hint: 'the daemon goes on stopping; `mesh down` waits for it, and finishes in any case',
};

async function pump<T>(source: AsyncIterable<T>, sink: (value: T) => void): Promise<void> {
  for await (const value of source) sink(value);
}
