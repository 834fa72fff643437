/** Traces between the model's types and the messages of control.proto, as wire.ts does it for the rest. */
import type { ResourceLogs, ResourceSpans } from '../../model/otlp.ts';
import type { Trace, TraceCut, TraceQuery, TraceSummary } from '../../model/trace.ts';
import { timeFromWire, timeToWire } from './wire.ts';

export type TraceQueryMessage = ReturnType<typeof traceQueryToWire>;
export type TraceSummaryMessage = ReturnType<typeof traceSummaryToWire>;
export type TraceMessage = ReturnType<typeof traceToWire>;

export function traceQueryToWire(query: TraceQuery) {
  return { ...query };
}

export function traceQueryFromWire(wire: TraceQueryMessage): TraceQuery {
  const { service, errorsOnly, minDurationMs, sinceMs, limit } = wire;
  return { service, errorsOnly, minDurationMs, sinceMs: sinceMs ?? null, limit };
}

export function traceSummaryToWire(summary: TraceSummary) {
  return { ...summary, time: timeToWire(summary.time) };
}

export function traceSummaryFromWire(wire: TraceSummaryMessage): TraceSummary {
  const { traceId, time, durationMs, service, name, services, spans, errors } = wire;
  return { traceId, time: timeFromWire(time), durationMs, service, name, services: [...services], spans, errors };
}

export function traceToWire(trace: Trace) {
  return {
    traceId: trace.traceId,
    resourceSpansJson: JSON.stringify(trace.resourceSpans),
    resourceLogsJson: JSON.stringify(trace.resourceLogs),
    cuts: trace.cuts.map((cut) => ({ ...cut, where: `WHERE_${cut.where.toUpperCase()}` })),
  };
}

export function traceFromWire(wire: TraceMessage): Trace {
  return {
    traceId: wire.traceId,
    resourceSpans: JSON.parse(wire.resourceSpansJson) as ResourceSpans[],
    resourceLogs: JSON.parse(wire.resourceLogsJson) as ResourceLogs[],
    cuts: wire.cuts.map(({ service, instance, where, spanId, traceIds, traces }) => ({
      service,
      instance,
      where: where === 'WHERE_AFTER' ? 'after' : ('before' as TraceCut['where']),
      spanId,
      traceIds: [...traceIds],
      traces,
    })),
  };
}
