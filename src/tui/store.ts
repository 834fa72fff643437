import type { EventBody } from '../model/bodies.ts';
import { bodyLines, bodySummary } from '../model/body-text.ts';
import type { RequestEvent, StatRow } from '../model/events.ts';
import type { Problem } from '../model/result.ts';
import type { CertificateStatus, EndpointStatus, LogLine, MeshStatus, RouteStatus } from '../model/status.ts';
import { visible, withoutEscapes } from '../model/text.ts';
import { describeCut, type Trace } from '../model/trace.ts';
import { sumsBy } from '../model/traffic-sums.ts';
import { foldHops, type SpanRow, waterfall } from '../model/waterfall.ts';
import { type Level, type LogEntry, logEntry } from './log-entry.ts';
import { createRing } from './ring.ts';

/** What the processes of one instance take. */
export interface Usage {
  /** Share of one core: 1.5 is one and a half. */
  cpu: number;
  memoryBytes: number;
}

/** A request with its bodies as lines, which are made once and take less than what they are made of. */
export interface ShownEvent extends Omit<RequestEvent, 'requestBody' | 'responseBody'> {
  bodies: { title: string; lines: readonly string[] }[];
}

/** A trace as a waterfall, the two proxies of a hop as one row. */
export interface ShownTrace {
  traceId: string;
  durationMs: number;
  rows: readonly SpanRow[];
  /** Why a part is missing. */
  remarks: readonly string[];
}

/** All that is drawn; a new object for each change. */
export interface View {
  status: MeshStatus | null;
  /** Logs and notices, merged, the newest last. */
  log: readonly LogEntry[];
  events: readonly ShownEvent[];
  /** That of the request that is looked at in full, once the mesh has told it; null: not yet, or it is not kept. */
  trace: ShownTrace | null;
  /** Requests that the tap left out since it began. */
  dropped: number;
  /** Of the last window; null: not known yet. */
  stats: readonly StatRow[] | null;
  /** Requests per second to each service, one value a reading, the newest last. */
  history: ReadonlyMap<string, readonly number[]>;
  routes: readonly RouteStatus[];
  endpoints: readonly EndpointStatus[];
  certificates: readonly CertificateStatus[];
  /** By instance; null: this machine does not tell. */
  usage: ReadonlyMap<string, Usage> | null;
  /** How long the start took; null: not from here, or not yet. */
  readyAfterMs: number | null;
  ready: boolean;
  /** The last remark about the mesh as a whole: `stopping, Ctrl-C again to force`. */
  remark: string;
  /** When the remark has been seen, milliseconds since the epoch; null: it stays. */
  remarkUntilMs: number | null;
}

/** For useSyncExternalStore. */
export interface ViewSource {
  subscribe(listener: () => void): () => void;
  getSnapshot(): View;
}

export interface NoticeLike {
  time?: string;
  level: 'info' | 'warning' | 'error';
  service: string;
  text: string;
  problems: readonly Problem[];
}

export interface ViewStore extends ViewSource {
  status(status: MeshStatus): void;
  logs(lines: readonly LogLine[]): void;
  notice(notice: NoticeLike): void;
  ready(tookMs: number | null): void;
  say(text: string): void;
  /** An answer to a key: shown for a while, kept nowhere. */
  flash(text: string, untilMs: number): void;
  events(events: readonly RequestEvent[], dropped: number): void;
  stats(rows: readonly StatRow[]): void;
  tables(tables: Partial<Pick<View, 'routes' | 'endpoints' | 'certificates'>>): void;
  usage(usage: ReadonlyMap<string, Usage>): void;
  trace(trace: Trace): void;
  /** Delivers what is pending at once and draws no more. */
  close(): void;
}

/**
 * Five frames a second for what comes by itself (keys are answered at once): ink takes 16 ms of a core for a frame of
 * 80 x 24, 40 ms at 200 x 50, which the services could use.
 */
const FRAME_MS = 200;
/** Kept in memory; some megabytes at most, since each is cut to a few kilobytes. */
export const LOG_LINES = 2_000;
export const EVENTS = 1_000;
/** Readings of the history: what a sparkline shows on a wide terminal. */
const HISTORY = 60;

/** Gathers changes and tells its subscribers at most once for each frame. */
export function createViewStore(
  setTimer: (callback: () => void, ms: number) => unknown = setTimeout,
  clearTimer: (timer: never) => void = clearTimeout,
): ViewStore {
  const listeners = new Set<() => void>();
  const log = createRing<LogEntry>(LOG_LINES);
  const events = createRing<ShownEvent>(EVENTS);
  const history = new Map<string, number[]>();
  let view: View = {
    status: null,
    log: [],
    events: [],
    trace: null,
    dropped: 0,
    stats: null,
    history: new Map(),
    routes: [],
    endpoints: [],
    certificates: [],
    usage: null,
    ready: false,
    readyAfterMs: null,
    remark: '',
    remarkUntilMs: null,
  };
  let draft: View = view;
  let nextKey = 0;
  let timer: unknown = null;
  let closed = false;

  const publish = () => {
    timer = null;
    view = { ...draft, log: inOrder(log.values()), events: events.values() };
    for (const listener of listeners) listener();
  };
  const change = (fields: Partial<View> = {}) => {
    draft = { ...draft, ...fields };
    if (timer === null && !closed) timer = setTimer(publish, FRAME_MS);
  };
  let lastTime = '';
  const note = (level: Level, service: string, source: string, text: string, given: string) => {
    // What is said here and now comes after what is there.
    const time = given || lastTime;
    log.push({ key: nextKey++, kind: 'notice', level, service, source, time, text: withoutEscapes(text), json: null });
  };

  return {
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    getSnapshot: () => view,
    status: (status) => change({ status }),
    logs(lines) {
      for (const line of lines.slice(-LOG_LINES)) {
        log.push(logEntry(line, nextKey++));
        if (line.time > lastTime) lastTime = line.time;
      }
      change();
    },
    notice({ level, service, text, problems, time = '' }) {
      note(level === 'warning' ? 'warn' : level, service, service, text, time);
      for (const problem of problems) {
        const hint = problem.hint === undefined ? '' : `: ${problem.hint}`;
        const severity = problem.severity === 'warning' ? 'warn' : 'error';
        note(severity, service, placeOf(problem), problem.message + hint, time);
      }
      change();
    },
    ready: (tookMs) => change({ ready: true, readyAfterMs: tookMs }),
    say(text) {
      note('info', '', '', text, '');
      change({ remark: withoutEscapes(text), remarkUntilMs: null });
    },
    flash: (text, untilMs) => change({ remark: withoutEscapes(text), remarkUntilMs: untilMs }),
    events(batch, dropped) {
      for (const event of batch.slice(-EVENTS)) events.push(harmless(event));
      change({ dropped: draft.dropped + dropped });
    },
    stats(rows) {
      const sums = sumsBy(rows, ({ destination }) => destination);
      const known = new Set([...sums.keys(), ...(draft.status?.services.map(({ name }) => name) ?? [])]);
      for (const service of history.keys()) if (!known.has(service)) history.delete(service);
      for (const service of known) {
        const readings = history.get(service) ?? [];
        history.set(service, [...readings, sums.get(service)?.perSecond ?? 0].slice(-HISTORY));
      }
      change({ stats: rows, history: new Map(history) });
    },
    tables: (tables) => change(tables),
    usage: (usage) => change({ usage }),
    trace: (trace) => change({ trace: shownTrace(trace) }),
    close() {
      closed = true;
      if (timer !== null) clearTimer(timer as never);
      publish();
    },
  };
}

/** By time: the past comes instance by instance when somebody joins. RFC 3339 in UTC sorts as text. */
function inOrder(entries: readonly LogEntry[]): readonly LogEntry[] {
  if (entries.every(({ time }, index) => index === 0 || time >= entries[index - 1].time)) return entries;
  return [...entries].sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : a.key - b.key));
}

/** `mesh.config.ts:12`, or the path in the configuration. */
export const placeOf = ({ file, line, path }: Problem): string =>
  line === undefined ? (path ?? '') : `${file?.split('/').at(-1) ?? ''}:${line}`;

const HEADERS_KEPT = 100;

/** Whatever a client sent, as text that a terminal can show. */
function harmless({ requestBody, responseBody, ...event }: RequestEvent): ShownEvent {
  const headers = (list: [string, string][]) =>
    list.slice(0, HEADERS_KEPT).map(([name, value]): [string, string] => [visible(name, 200), visible(value, 1_024)]);
  return {
    ...event,
    source: visible(event.source, 200),
    destination: visible(event.destination, 200),
    instance: visible(event.instance, 200),
    method: visible(event.method, 64),
    authority: visible(event.authority, 512),
    path: visible(event.path),
    route: visible(event.route, 200),
    gatewayRoute: visible(event.gatewayRoute, 200),
    peer: visible(event.peer, 512),
    traceId: visible(event.traceId, 64),
    responseFlags: visible(event.responseFlags, 64),
    requestHeaders: headers(event.requestHeaders),
    responseHeaders: headers(event.responseHeaders),
    bodies: [
      ...(requestBody === undefined ? [] : [shownBody('Request body', requestBody)]),
      ...(responseBody === undefined ? [] : [shownBody('Response body', responseBody)]),
    ],
  };
}

/** Of a body, since a thousand requests are kept. */
const BODY_LINES = 200;
const BODY_CHARACTERS = 8_192;

function shownBody(title: string, body: EventBody): ShownEvent['bodies'][number] {
  const lines: string[] = [];
  let left = BODY_CHARACTERS;
  for (const text of bodyLines(body)) {
    if (lines.length >= BODY_LINES || left <= 0) {
      lines.push('… more of it with `mesh tap --bodies`');
      break;
    }
    // Tabs are common in texts and harmless.
    const line = visible(text.replaceAll('\t', '  '), Math.min(left, 2_048));
    left -= line.length;
    lines.push(line);
  }
  return { title: `${title}: ${body.bytes === 0 ? 'none' : visible(bodySummary(body), 300)}`, lines };
}

const SPANS_SHOWN = 500;

/** Also of what only this view has seen of a trace. */
export function shownTrace(trace: Trace): ShownTrace {
  const { traceId, durationMs, rows } = waterfall(trace);
  const shown = foldHops(rows).slice(0, SPANS_SHOWN);
  return {
    traceId,
    durationMs,
    rows: shown.map((row) => ({
      ...row,
      service: visible(row.service, 100),
      name: visible(row.name, 200),
      destination: visible(row.destination, 100),
      error: visible(row.error, 200),
      notes: row.notes.slice(0, 20).map((note) => ({ ...note, text: visible(note.text, 300) })),
    })),
    remarks: [
      ...(rows.length > SPANS_SHOWN
        ? [`${rows.length - SPANS_SHOWN} more spans: see mesh trace ${traceId.slice(0, 12)}`]
        : []),
      ...(shown.some(({ orphan }) => orphan)
        ? ['? the span above it is not here: not sampled, not sent, or not yet']
        : []),
      ...trace.cuts.map((cut) => visible(describeCut(cut), 300)),
    ],
  };
}
