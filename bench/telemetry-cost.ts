/**
 * What telemetry costs the data plane: throughput with nobody looking against a data plane that has no telemetry at all,
 * then with somebody looking against nobody looking. This process is the daemon: what data planes report goes through the
 * daemon's own hub, encoder, store and exporter.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Plugin } from 'esbuild';
import { ANY_REQUEST } from '../src/model/events.ts';
import { resolveTelemetry, resolveTracing } from '../src/model/resolve-telemetry.ts';
import type { ResolvedTracing } from '../src/model/resolved.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { createTapEncoder } from '../src/runtime/control/tap-encoder.ts';
import type { DataPlaneEvents } from '../src/runtime/snapshot/data-plane-process.ts';
import { createTapHub } from '../src/runtime/telemetry/tap-hub.ts';
import { Tracing } from '../src/runtime/tracing/tracing.ts';
import { type Sample, sinkTotal, wrkRequests } from './peers/load.ts';
import { alternate, errorsOf, ROUNDS, ratio, ratios, SECONDS, skipped, spread, whole } from './peers/rounds.ts';
import { type Bed, JSON_BODY, startBackend } from './peers/systems.ts';
import { bundle } from './support/bundle.ts';
import { type MeasuredMesh, openBenchAuthority, startMeasuredMesh } from './support/data-plane.ts';
import { median, root, sleep } from './support/mesh.ts';
import { chooseCores, installed, pin } from './support/processes.ts';
import type { Bench, Figure } from './support/report.ts';

/** What reports may take to arrive after the last request: longer than any interval of the data plane. */
const SETTLE_MS = 400;

/** A data plane, and what it has reported. */
interface Subject {
  readonly name: string;
  readonly mesh: MeasuredMesh;
  /** Reports that a request must lead to, each delivered or counted as dropped. */
  readonly reportsPerRequest: number;
  readonly reports: Reports;
  stop(): Promise<unknown>;
}

interface Reports {
  delivered: number;
  dropped: number;
  /** Problems that the daemon's side told of. */
  problems: string[];
}

/** A sample and what was reported of it. */
interface Watched extends Sample {
  delivered: number;
  dropped: number;
}

type Setting = Pick<Bed, 'dir' | 'cores' | 'authority' | 'app'>;

const DEFAULTS = resolveTracing({});

export const telemetryCost: Bench = async () => {
  const title = 'What telemetry costs the data plane';
  if (!installed('wrk')) return { title, note: '', figures: [skipped(title, 'wrk')] };
  const dir = await mkdtemp(path.join(tmpdir(), 'mesh-telemetry-cost-'));
  const ends: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
  try {
    const cores = chooseCores();
    await pin(process.pid, cores.load);
    const programs = {
      ...(await bundle(path.join(dir, 'programs'), {
        dataPlane: 'src/proxy/data-plane-process.ts',
        backend: 'bench/support/backend-node.ts',
      })),
      ...(await bundle(path.join(dir, 'bare'), { bare: 'bench/support/bare-data-plane.ts' })),
      ...(await bundle(path.join(dir, 'mute'), { mute: 'bench/support/bare-data-plane.ts' }, [withoutTraceContext])),
    };
    const authority = await openBenchAuthority(dir);
    const { app, direct } = await startBackend(dir, programs, cores);
    ends.push(direct.stop);
    const setting: Setting = { dir, cores, authority, app };
    const started = (subject: Subject): Subject => {
      ends.push(() => subject.stop());
      return subject;
    };
    const mute = started(await withoutTelemetry(setting, programs.mute, 'no telemetry and no trace context'));
    const bare = started(await withoutTelemetry(setting, programs.bare, 'no telemetry'));
    const unwatched = started(await withTraces(setting, programs.dataPlane, 'nobody looks', DEFAULTS));
    const tapped = started(await withTap(setting, programs.dataPlane));
    const collector = {
      endpoint: `http://127.0.0.1:${app.sink}/upload`,
      headers: {},
      protocol: 'http/protobuf',
    } as const;
    const every: ResolvedTracing = { traces: { ...DEFAULTS.traces!, headRate: 1, maxPerSecond: 0 }, otlp: collector };
    const exporting = started(await withTraces(setting, programs.dataPlane, 'every span exported', every));

    const before = await sinkTotal(setting);
    const results = await alternate([mute, bare, unwatched, tapped, exporting], (subject, seconds) =>
      measure(setting, subject, seconds),
    );
    const exportedBytes = (await sinkTotal(setting)) - before;
    const figures = [
      own('no telemetry: no counters, no spans, no taps', results.get(bare)!),
      against('nobody looks, traces as by default', results, unwatched, bare, 0.95),
      against('the same', results, unwatched, mute, null),
      against('one `mesh tap` without a filter', results, tapped, unwatched, 0.85),
      told('events of the tap', results.get(tapped)!),
      against('every span exported over OTLP', results, exporting, unwatched, 0.7),
      told(`spans (${(exportedBytes / 1e6).toFixed(1)} MB as OTLP)`, results.get(exporting)!),
    ];
    const said = [mute, bare, unwatched, tapped, exporting].flatMap(({ mesh, reports }) => [
      ...mesh.notices,
      ...reports.problems,
    ]);
    if (exportedBytes === 0) said.push('nothing came to the collector');
    if (said.length > 0)
      figures.push({ what: 'was said', value: said.slice(0, 3).join('; '), goal: 'nothing', met: false });
    return { title, note: note(cores.proxy !== null), figures };
  } finally {
    for (const end of ends.reverse()) await end();
  }
};

/** Takes `no-trace-context.ts` for the product's module. */
const withoutTraceContext: Plugin = {
  name: 'without-trace-context',
  setup(build) {
    build.onResolve({ filter: /\/trace-context\.ts$/ }, ({ importer }) =>
      importer.endsWith('no-trace-context.ts')
        ? undefined
        : { path: path.join(root, 'bench/support/no-trace-context.ts') },
    );
  },
};

const noReports = (): Reports => ({ delivered: 0, dropped: 0, problems: [] });

function start(
  { authority, cores, app }: Setting,
  entry: string,
  events: Partial<DataPlaneEvents>,
): Promise<MeasuredMesh> {
  return startMeasuredMesh(entry, authority, cores.proxy, { one: { port: app.h1 } }, {}, events);
}

async function withoutTelemetry(setting: Setting, entry: string, name: string): Promise<Subject> {
  const mesh = await start(setting, entry, {});
  return { name, mesh, reportsPerRequest: 0, reports: noReports(), stop: mesh.stop };
}

/** Traces into the store, and to the collector if there is one. */
async function withTraces(setting: Setting, entry: string, name: string, settings: ResolvedTracing): Promise<Subject> {
  const reports = noReports();
  const stateDir = path.join(setting.dir, name.replaceAll(' ', '-'));
  await mkdir(stateDir);
  let mesh: MeasuredMesh | null = null;
  const tracing = new Tracing({
    stateDir,
    clock: systemClock,
    random: Math.random,
    onSettings: (traces) => mesh?.process.trace(traces),
    onProblem: ({ message }) => reports.problems.push(message),
  });
  mesh = await start(setting, entry, {
    onSpans: (spans, dropped) => {
      reports.delivered += spans.length;
      reports.dropped += dropped;
      tracing.onProxySpans(spans, dropped);
    },
  });
  await tracing.configure(settings);
  const { process, stop } = mesh;
  process.trace(settings.traces);
  return {
    name,
    mesh,
    // Of both proxies; but of a trace that is left out as a whole there is one word only.
    reportsPerRequest: settings.otlp === null ? 0 : 1,
    reports,
    async stop() {
      await stop();
      await tracing.close();
    },
  };
}

/** Traces as by default, and a `mesh tap` without flags. */
async function withTap(setting: Setting, entry: string): Promise<Subject> {
  const reports = noReports();
  const hub = createTapHub(() => mesh.process.tap(hub.specs(), redacted));
  const redacted = [...resolveTelemetry({ version: 1, name: 'bench', services: {} }, '/').redactHeaders];
  const mesh = await start(setting, entry, { onEvents: (batches) => hub.deliver(batches) });
  mesh.process.trace(DEFAULTS.traces);
  const abort = new AbortController();
  const batches = hub.open({ ...ANY_REQUEST, direction: 'outbound' }, abort.signal);
  const encode = createTapEncoder();
  const ended = (async () => {
    for await (const batch of batches) {
      if (encode(batch).length === 0) reports.problems.push('an empty batch');
      reports.delivered += batch.events.length;
      reports.dropped += batch.dropped;
    }
  })();
  return {
    name: 'tap',
    mesh,
    // The caller's view.
    reportsPerRequest: 1,
    reports,
    async stop() {
      abort.abort();
      await ended;
      await mesh.stop();
    },
  };
}

async function measure(setting: Setting, subject: Subject, seconds: number): Promise<Watched> {
  const { mesh, reports, reportsPerRequest } = subject;
  const { delivered, dropped } = reports;
  const sample = await wrkRequests(
    setting,
    { pid: mesh.pid, h1: mesh.dependency('one') },
    { connections: 32, seconds },
  );
  await sleep(SETTLE_MS);
  const watched = { ...sample, delivered: reports.delivered - delivered, dropped: reports.dropped - dropped };
  const expected = Math.floor(sample.rate * seconds) * reportsPerRequest;
  const known = watched.delivered + watched.dropped;
  if (known >= expected * 0.99) return watched;
  return {
    ...watched,
    errors: [...sample.errors, `${subject.name}: ${known} of ${expected} reports delivered or counted`],
  };
}

const rate = ({ rate: value }: Sample): number => value;

/** Requests a second, and processor time of the data plane for each, which also says something on a machine that is busy. */
function figuresOf(samples: readonly Sample[]): string {
  const us = samples.map(({ perCpuSecond }) => 1e6 / perCpuSecond);
  return `${spread(samples.map(rate), whole('req/s'))}, ${spread(us, (value) => `${value.toFixed(1)} µs`)} of processor time each`;
}

function own(what: string, samples: readonly Sample[]): Figure {
  const failed = errorsOf(samples);
  return {
    what,
    value: figuresOf(samples) + failed,
    goal: '',
    met: failed === '' ? null : false,
  };
}

function against(
  what: string,
  results: ReadonlyMap<Subject, readonly Watched[]>,
  subject: Subject,
  baseline: Subject,
  least: number | null,
): Figure {
  const samples = results.get(subject)!;
  const compared = ratios(samples.map(rate), results.get(baseline)!.map(rate));
  const failed = errorsOf(samples);
  return {
    what: `${what}, against ${baseline.name}`,
    value: `${spread(compared, ratio)}; ${figuresOf(samples)}${failed}`,
    goal: least === null ? '' : `at least ${least.toFixed(2)}x`,
    met: least === null ? null : failed === '' && median(compared) >= least,
  };
}

/** What came of the reports: a look must not slow requests down, so under full load some of them are counted only. */
function told(what: string, samples: readonly Watched[]): Figure {
  const perSecond = (count: number): number => count / SECONDS;
  return {
    what,
    value: `${spread(
      samples.map(({ delivered }) => perSecond(delivered)),
      whole('/s'),
    )} delivered, ${spread(
      samples.map(({ dropped }) => perSecond(dropped)),
      whole('/s'),
    )} dropped and counted`,
    goal: '',
    met: null,
  };
}

function note(pinned: boolean): string {
  return [
    'HTTP/1.1, 32 connections, 78-byte JSON, two hops with mutual TLS in one data-plane process, as among the peers.',
    '"No telemetry" is the same code without counters, spans and taps, taken out when the bench is bundled: it is no option of the product. Trace context (W3C) is passed on there too, as it is with `telemetry.traces: false`; what that costs shows against a data plane that leaves requests as they are.',
    `"Nobody looks" counts and keeps the default share of traces (${DEFAULTS.traces!.maxPerSecond} a second).`,
    pinned
      ? "Data planes run on core 0; client, backend, the daemon's side and the collector on core 1."
      : 'Nothing is pinned.',
    'Every report that a request should lead to must have been delivered or counted as dropped.',
    `Medians of ${ROUNDS} rounds of ${SECONDS} s, in turn; ratios are made round by round; brackets: least and most. The body is ${JSON_BODY.length} bytes; statuses and amounts are checked.`,
  ].join(' ');
}
