import {
  attributeText,
  betweenMs,
  type OtlpLogRecord,
  type OtlpSpan,
  type Resource,
  STATUS_ERROR,
  textOfValue,
  unixMs,
} from './otlp.ts';
import { PROXY_SCOPE } from './proxy-span.ts';
import type { Trace } from './trace.ts';

/** A span in its place in the trace. */
export interface SpanRow {
  spanId: string;
  /** Steps below the trace's beginning. */
  depth: number;
  service: string;
  instance: string;
  /** `GET /checkout`, `shop.Orders/Create`. */
  name: string;
  /** `mesh.direction` of a proxy's span; empty: a service sent it. */
  proxy: string;
  /** Where a proxy's call went. */
  destination: string;
  /** After the trace's beginning. */
  startMs: number;
  durationMs: number;
  /** Why it failed; empty: it did not. */
  error: string;
  /** Has part in how long the whole took: making it shorter would make the trace shorter. */
  critical: boolean;
  /** Its parent is not there: not sampled, not sent, or not yet. */
  orphan: boolean;
  /** In order of time. */
  notes: SpanNote[];
}

/** Something that was said while a span was under way: one of its events, or a log record. */
export interface SpanNote {
  /** After the trace's beginning. */
  atMs: number;
  kind: 'event' | 'log';
  /** Level of a log record. */
  level: string;
  text: string;
}

export interface Waterfall {
  traceId: string;
  /** RFC 3339 with milliseconds. */
  time: string;
  durationMs: number;
  rows: SpanRow[];
  /** Of log records that belong to no span that is there. */
  notes: SpanNote[];
}

interface Node {
  span: OtlpSpan;
  resource: Resource | undefined;
  proxy: boolean;
  startMs: number;
  endMs: number;
  parent: Node | null;
  children: Node[];
  critical: boolean;
  notes: SpanNote[];
}

/** Spans in order of the tree, parents before children, siblings by time. */
export function waterfall(trace: Trace): Waterfall {
  const spans = uniqueSpans(trace);
  let originNano = '';
  for (const { span } of spans) {
    const start = span.startTimeUnixNano ?? '0';
    if (originNano === '' || BigInt(start) < BigInt(originNano)) originNano = start;
  }
  const nodes = new Map<string, Node>();
  for (const { span, resource, proxy } of spans) {
    const startMs = betweenMs(originNano, span.startTimeUnixNano);
    // A span of which no end is known, or one before its start, has no length.
    const endMs = Math.max(startMs, betweenMs(originNano, span.endTimeUnixNano));
    nodes.set(span.spanId, {
      span,
      resource,
      proxy,
      startMs,
      endMs,
      parent: null,
      children: [],
      critical: false,
      notes: [],
    });
  }
  const roots = linkTree(nodes);
  const notes = placeNotes(trace, nodes, originNano);
  for (const root of roots) markCritical(root);
  const rows: SpanRow[] = [];
  const visit = (start: Node): void => {
    // No recursion: a hostile trace may be as deep as it is long.
    const stack: [Node, number][] = [[start, 0]];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      const [node, depth] = next;
      rows.push(rowOf(node, depth));
      for (let i = node.children.length - 1; i >= 0; i--) stack.push([node.children[i], depth + 1]);
    }
  };
  for (const root of roots) visit(root);
  let durationMs = 0;
  for (const node of nodes.values()) durationMs = Math.max(durationMs, node.endMs);
  return { traceId: trace.traceId, time: new Date(unixMs(originNano)).toISOString(), durationMs, rows, notes };
}

/**
 * Of the two proxies of a hop one row: an inbound span directly below the call it belongs to is folded into it. What
 * failed, or took a part of its own, stays to be seen in the call's row.
 */
export function foldHops(rows: readonly SpanRow[]): SpanRow[] {
  const kept: SpanRow[] = [];
  const shown: number[] = [];
  const last: (SpanRow | undefined)[] = [];
  for (const row of rows) {
    const above = row.depth === 0 ? -1 : shown[row.depth - 1];
    const parent = row.depth === 0 ? undefined : last[row.depth - 1];
    if (row.proxy === 'inbound' && parent !== undefined && isCall(parent)) {
      shown[row.depth] = above;
      last[row.depth] = row;
      parent.notes.push(...row.notes);
      parent.error ||= row.error;
      continue;
    }
    const copy = { ...row, depth: above + 1, notes: [...row.notes] };
    shown[row.depth] = above + 1;
    last[row.depth] = copy;
    kept.push(copy);
  }
  for (const row of kept) row.notes.sort((a, b) => a.atMs - b.atMs);
  return kept;
}

const isCall = (row: SpanRow): boolean => row.proxy === 'outbound' || row.proxy === 'gateway';

/** A sender that tries again sends a span twice; the last word counts. */
function uniqueSpans(trace: Trace): { span: OtlpSpan; resource: Resource | undefined; proxy: boolean }[] {
  const found = new Map<string, { span: OtlpSpan; resource: Resource | undefined; proxy: boolean }>();
  for (const { resource, scopeSpans } of trace.resourceSpans) {
    for (const { scope, spans } of scopeSpans ?? []) {
      const proxy = scope?.name === PROXY_SCOPE.name;
      for (const span of spans ?? []) found.set(span.spanId, { span, resource, proxy });
    }
  }
  return [...found.values()];
}

/** The roots, by time. A span among its own ancestors becomes one. */
function linkTree(nodes: ReadonlyMap<string, Node>): Node[] {
  const roots: Node[] = [];
  for (const node of nodes.values()) {
    const parent = nodes.get(node.span.parentSpanId ?? '');
    if (parent === undefined || isAncestor(node, parent)) roots.push(node);
    else {
      node.parent = parent;
      parent.children.push(node);
    }
  }
  const byTime = (a: Node, b: Node): number => a.startMs - b.startMs || b.endMs - a.endMs;
  for (const node of nodes.values()) node.children.sort(byTime);
  return roots.sort(byTime);
}

function isAncestor(node: Node, of: Node): boolean {
  for (let at: Node | null = of; at !== null; at = at.parent) if (at === node) return true;
  return false;
}

/**
 * The critical path: from the end of a span back to its start, always by way of the child that ended last. Children
 * that ran beside it have no part in how long it took.
 */
function markCritical(root: Node): void {
  const stack = [root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    node.critical = true;
    let untilMs = node.endMs;
    const byEnd = [...node.children].sort((a, b) => b.endMs - a.endMs);
    for (const child of byEnd) {
      // What goes on after its parent has ended keeps nobody waiting.
      if (child.endMs > untilMs || child.startMs >= untilMs) continue;
      stack.push(child);
      untilMs = child.startMs;
    }
  }
}

function rowOf(node: Node, depth: number): SpanRow {
  const { span, resource } = node;
  const proxy = node.proxy ? attributeText(span.attributes, 'mesh.direction') : '';
  const parentId = span.parentSpanId ?? '';
  return {
    spanId: span.spanId,
    depth,
    service: attributeText(resource?.attributes, 'service.name') || 'unknown',
    instance: attributeText(resource?.attributes, 'service.instance.id'),
    name: titleOf(span, node.proxy),
    proxy,
    destination:
      proxy === '' || proxy === 'inbound'
        ? ''
        : attributeText(span.attributes, 'mesh.destination') || attributeText(span.attributes, 'server.address'),
    startMs: node.startMs,
    durationMs: node.endMs - node.startMs,
    error: errorOf(span),
    critical: node.critical,
    orphan: parentId !== '' && node.parent === null,
    notes: node.notes.sort((a, b) => a.atMs - b.atMs),
  };
}

/** Of a proxy's span the method with the path, which says more than the name, which must not have it. */
function titleOf(span: OtlpSpan, proxy: boolean): string {
  if (!proxy) return span.name || '(no name)';
  const method = attributeText(span.attributes, 'http.request.method');
  if (method === '' || attributeText(span.attributes, 'rpc.method') !== '') return span.name ?? '';
  const path = attributeText(span.attributes, 'url.path') || pathOf(attributeText(span.attributes, 'url.full'));
  return `${method} ${path}`.trim();
}

/** Path of a URL, without the query. */
const pathOf = (url: string): string => /^[a-z]+:\/\/[^/]*(\/[^?]*)/i.exec(url)?.[1] ?? '';

function errorOf(span: OtlpSpan): string {
  if (span.status?.code !== STATUS_ERROR) return '';
  const type = attributeText(span.attributes, 'error.type');
  const message = span.status.message ?? '';
  return [type, message].filter((part) => part !== '').join(' ') || 'error';
}

/** Puts events and log records where they belong; returns those that belong nowhere. */
function placeNotes(trace: Trace, nodes: ReadonlyMap<string, Node>, originNano: string): SpanNote[] {
  const homeless: SpanNote[] = [];
  for (const node of nodes.values()) {
    for (const event of node.span.events ?? []) {
      const details = (event.attributes ?? [])
        .filter(({ key }) => key !== 'exception.stacktrace')
        .map(({ key, value }) => `${key}=${textOfValue(value)}`);
      const text = [event.name ?? '', ...details].join(' ').trim();
      node.notes.push({ atMs: betweenMs(originNano, event.timeUnixNano), kind: 'event', level: '', text });
    }
  }
  for (const { scopeLogs } of trace.resourceLogs) {
    for (const { logRecords } of scopeLogs ?? []) {
      for (const log of logRecords ?? []) {
        const note = noteOfLog(log, originNano);
        (nodes.get(log.spanId ?? '')?.notes ?? homeless).push(note);
      }
    }
  }
  return homeless.sort((a, b) => a.atMs - b.atMs);
}

/** Names of OTLP's six ranges of severity. */
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

function noteOfLog(log: OtlpLogRecord, originNano: string): SpanNote {
  const time = Number(log.timeUnixNano ?? 0) > 0 ? log.timeUnixNano : log.observedTimeUnixNano;
  const level = LEVELS[Math.floor(((log.severityNumber ?? 0) - 1) / 4)] ?? (log.severityText ?? '').toLowerCase();
  const text = textOfValue(log.body) || log.eventName || '';
  return { atMs: betweenMs(originNano, time), kind: 'log', level, text };
}
