import type { OutcomeFacts } from '../../model/explanation.ts';
import type { ProxySpan } from '../../model/proxy-span.ts';
import { meaningsOfFlags } from '../../model/response-flag-meanings.ts';
import type { KeptRequest } from '../tracing/kept-request.ts';

/** Most other requests of a trace that are named. */
const MOST_OTHERS = 20;

/** What happened, as the proxies of both sides saw it. One of them is there. */
export function outcomeFacts({ caller, called, others }: KeptRequest): OutcomeFacts {
  const span = caller ?? called!;
  return {
    traceId: span.traceId,
    id: span.spanId,
    time: new Date(span.startMs).toISOString(),
    durationMs: round(span.durationMs),
    status: span.status,
    grpcStatus: span.grpcStatus,
    flags: meaningsOfFlags(span.flags),
    retries: span.retries,
    timing: timingParts(caller, called),
    requestBytes: span.requestBytes,
    responseBytes: span.responseBytes,
    tls: span.tls,
    peer: span.peer,
    sampled: span.sampled,
    others: others.slice(0, MOST_OTHERS).map((other) => ({ id: other.spanId, text: titleOf(other) })),
  };
}

function titleOf({ service, other, method, path, protocol, status }: ProxySpan): string {
  const what = protocol === 'tcp' ? 'tcp' : `${method} ${path}`;
  return `${service} → ${other === '' ? '?' : other}  ${what}  ${status === 0 ? 'no response' : status}`;
}

/**
 * Where the time went. The parts follow each other and add up to the duration: where the two proxies' clocks, or a retry,
 * put one moment before another, the part between them is empty.
 */
export function timingParts(caller: ProxySpan | null, called: ProxySpan | null): OutcomeFacts['timing'] {
  const span = caller ?? called!;
  const moments: [part: string, atMs: number | undefined][] = [];
  if (caller === null) moments.push(['application, until its first byte', called!.firstByteAfterMs]);
  else {
    const offsetMs = called === null ? 0 : called.startMs - caller.startMs;
    const at = (ms: number | undefined) => (ms === undefined ? undefined : offsetMs + ms);
    const picked =
      caller.retries === 0 ? 'until an endpoint was picked' : 'earlier tries, until the last endpoint was picked';
    moments.push([picked, caller.pickedAfterMs]);
    if (called !== null) {
      moments.push([`to the proxy of ${called.instance}`, offsetMs]);
      moments.push(['application, until its first byte', at(called.firstByteAfterMs)]);
    }
    const silent = called !== null && called.firstByteAfterMs === undefined;
    const last =
      called === null ? 'until the first byte' : silent ? 'application, which did not answer' : 'back to the caller';
    moments.push([last, caller.firstByteAfterMs]);
  }
  const parts: OutcomeFacts['timing'] = [];
  let soFarMs = 0;
  for (const [part, atMs] of moments) {
    if (atMs === undefined) continue;
    const untilMs = Math.min(span.durationMs, Math.max(soFarMs, atMs));
    parts.push({ part, ms: round(untilMs - soFarMs) });
    soFarMs = untilMs;
  }
  const began = span.firstByteAfterMs !== undefined;
  parts.push({ part: began ? 'rest of the response' : 'until it ended', ms: round(span.durationMs - soFarMs) });
  return parts;
}

/** Microseconds are as exact as the clocks. */
const round = (ms: number): number => Math.round(ms * 1_000) / 1_000;
