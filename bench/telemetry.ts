/**
 * What the daemon pays for each request that somebody looks at: processor time of one process, from the message of a data
 * plane on its channel to what leaves. The data plane is a process that sends ready-made batches as fast as they are taken.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ANY_REQUEST } from '../src/model/events.ts';
import type { ProxySpan } from '../src/model/proxy-span.ts';
import type { FromDataPlane } from '../src/proxy/channel.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { createTapEncoder } from '../src/runtime/control/tap-encoder.ts';
import { AccessLog } from '../src/runtime/telemetry/access-log.ts';
import { createTapHub, type TapHub } from '../src/runtime/telemetry/tap-hub.ts';
import { createTrafficHistory } from '../src/runtime/telemetry/traffic-history.ts';
import { TraceStore } from '../src/runtime/tracing/trace-store.ts';
import { QUICK } from './support/quick.ts';
import type { Figure, Section } from './support/report.ts';

const SOURCE = fileURLToPath(new URL('./support/telemetry-source.ts', import.meta.url));
const EVENTS = QUICK ? 10_000 : 200_000;
/** Half a core at 20,000 events a second. */
const GOAL_US = 25;

export async function telemetry(): Promise<Section | null> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'mesh-bench-telemetry-'));
  try {
    const channel = await measure('events', () => undefined);
    const figures: Figure[] = [
      row('channel alone: a request event read from the data plane', channel, null),
      row('tap, one subscriber: channel, fan-out, encoded for the client', await tap(), GOAL_US),
      row('access log as text: channel, fan-out, written to a file', await accessLog(directory, 'text'), GOAL_US),
      row('access log as JSON', await accessLog(directory, 'json'), GOAL_US),
      row('trace store: channel, indexed, written to disk (a span)', await traceStore(directory), GOAL_US),
      row('counters: channel and fold (a slot that changed)', await counters(), null),
    ];
    return {
      title: 'Telemetry in the daemon',
      note: `Processor time of the daemon's process for each of ${EVENTS.toLocaleString('en')} events that come in batches of 1,000 over the data plane's channel; 20,000 a second on half a core are ${GOAL_US} µs each.`,
      figures,
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const row = (what: string, us: number, goalUs: number | null): Figure => ({
  what,
  value: `${us.toFixed(1)} µs (${Math.round(500_000 / us).toLocaleString('en')} a second on half a core)`,
  goal: goalUs === null ? '' : `< ${goalUs} µs`,
  met: goalUs === null ? null : us < goalUs,
});

/**
 * @param take what the daemon does with a message; a promise is waited for at the end
 * @param finish ends what is still under way
 * @returns microseconds of this process' processor time for each event
 */
async function measure(
  kind: FromDataPlane['type'],
  take: (message: FromDataPlane) => unknown,
  finish: () => Promise<unknown> = async () => undefined,
): Promise<number> {
  const child = fork(SOURCE, [kind, String(EVENTS)], {
    serialization: 'advanced',
    execArgv: ['--import', 'tsx'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const work: Promise<unknown>[] = [];
  child.on('message', (message: FromDataPlane) => {
    if (message.type === 'ready') return;
    const done = take(message);
    if (done instanceof Promise) work.push(done);
    child.send('more', () => undefined);
  });
  await once(child, 'message');
  const before = process.cpuUsage();
  child.send('more', () => undefined);
  await once(child, 'exit');
  await Promise.all(work);
  await finish();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / EVENTS;
}

function hubFor(direction: 'outbound' | '') {
  const hub: TapHub = createTapHub(() => undefined);
  const abort = new AbortController();
  const batches = hub.open({ ...ANY_REQUEST, direction }, abort.signal, true);
  return { hub, abort, batches };
}

const deliver = (hub: TapHub) => (message: FromDataPlane) => {
  if (message.type === 'events') hub.deliver(message.batches);
};

async function tap(): Promise<number> {
  const { hub, abort, batches } = hubFor('');
  const encode = createTapEncoder();
  let bytes = 0;
  const ended = (async () => {
    for await (const batch of batches) bytes += encode(batch).length;
  })();
  const us = await measure('events', deliver(hub), async () => {
    abort.abort();
    await ended;
  });
  if (bytes < EVENTS * 50) throw new Error(`only ${bytes} bytes were encoded`);
  return us;
}

async function accessLog(directory: string, format: 'text' | 'json'): Promise<number> {
  const { hub, abort, batches } = hubFor('outbound');
  const log = new AccessLog({
    settings: { mesh: { file: path.join(directory, `${format}.log`), format }, services: {} },
    now: Date.now,
    print: () => true,
    onNotice: (_level, text) => {
      throw new Error(text);
    },
  });
  const ended = log.follow(batches);
  return measure('events', deliver(hub), async () => {
    abort.abort();
    await ended;
  });
}

async function traceStore(directory: string): Promise<number> {
  const store = new TraceStore({
    directory: path.join(directory, 'traces'),
    clock: systemClock,
    onProblem: ({ message }) => {
      throw new Error(message);
    },
  });
  let batches = 0;
  const us = await measure(
    'spans',
    async (message) => {
      if (message.type !== 'spans') return;
      store.addProxySpans(message.spans satisfies ProxySpan[]);
      // As often as the clock would: 20,000 spans a second are written twice a second.
      if (++batches % 10 === 0) await store.flush();
    },
    () => store.flush(),
  );
  if (store.dropped > 0) throw new Error(`the store dropped ${store.dropped} spans`);
  await store.close();
  return us;
}

async function counters(): Promise<number> {
  const history = createTrafficHistory({ now: Date.now, subsetOf: () => 'default' });
  return measure('counters', (message) => {
    if (message.type === 'counters') history.fold(0, message.slots);
  });
}
