import type { RequestEvent } from '../../model/events.ts';

export interface WaterfallRow {
  event: RequestEvent;
  /** How many spans above it are shown. */
  depth: number;
  /** Milliseconds after the first of the trace. */
  startMs: number;
}

/**
 * The parts of one trace in the order of calls: children below their parent by start. What has no parent here, because
 * the tap began later or a service did not pass the context on, stands at the top.
 */
export function waterfall(events: readonly RequestEvent[]): { rows: WaterfallRow[]; totalMs: number } {
  const byId = new Map(events.map((event) => [event.id, event]));
  const unique = [...byId.values()].sort((a, b) => startOf(a) - startOf(b));
  const children = new Map<string, RequestEvent[]>();
  const roots: RequestEvent[] = [];
  for (const event of unique) {
    if (event.parentSpanId === event.id || !byId.has(event.parentSpanId)) roots.push(event);
    else children.set(event.parentSpanId, [...(children.get(event.parentSpanId) ?? []), event]);
  }
  const first = Math.min(...unique.map(startOf));
  const rows: WaterfallRow[] = [];
  const visited = new Set<RequestEvent>();
  const add = (event: RequestEvent, depth: number) => {
    if (visited.has(event)) return;
    visited.add(event);
    rows.push({ event, depth, startMs: startOf(event) - first });
    for (const child of children.get(event.id) ?? []) add(child, depth + 1);
  };
  for (const root of roots) add(root, 0);
  // Spans that name each other as parents are nobody's children.
  for (const event of unique) add(event, 0);
  return { rows, totalMs: Math.max(0, ...rows.map(({ startMs, event }) => startMs + event.durationMs)) };
}

const startOf = ({ time }: RequestEvent): number => {
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? 0 : ms;
};
