import type { ProxySpan } from '../../model/proxy-span.ts';
import type { Exchange } from '../exchange.ts';

/** What the control plane wants to know of requests, for traces. */
export interface TraceSettings {
  /** Share of the traces that begin here that are sampled, 0 to 1. */
  headRate: number;
  /** Most traces sampled in a second, whatever the share; 0: no limit. */
  maxPerSecond: number;
  /** Requests that took so long are reported, sampled or not; 0: none because of that. */
  slowMs: number;
}

export interface TraceRecorderOptions {
  random: () => number;
  /** Milliseconds since 1970. */
  now: () => number;
  /** Milliseconds of running time; the clock of `Exchange.startedAtMs`. */
  monotonic: () => number;
  /** Takes a batch away and calls back when it has left. */
  send: (spans: ProxySpan[], dropped: number, sent: () => void) => void;
}

/** Spans reported in a second at most: what the daemon takes without falling behind. */
const MOST_PER_SECOND = 5_000;
/** Past this no trace begins in that second, so that those that have begun become complete. */
const MOST_BEFORE_NEW_TRACE = 3_000;
/** Batches under way to a daemon that does not read. More would only fill memory. */
const MOST_UNDER_WAY = 4;
const BATCH = 256;
/** Longest path kept of a request. */
const MOST_PATH = 2_048;
/** The two clocks may be apart so far before the wall clock is believed again: it was set, or the machine slept. */
const MOST_DRIFT_MS = 20;

/**
 * Decides which requests become spans and collects them. A trace is sampled as a whole where it begins, so that what is
 * kept is complete; what failed or was slow is kept besides. Where there are more than can be reported, whole traces are
 * left out first, and each counts as one span dropped. Does nothing while nobody has asked.
 */
export class TraceRecorder {
  private settings: TraceSettings | null = null;
  private spans: ProxySpan[] = [];
  private dropped = 0;
  private underWay = 0;
  private secondStartedMs = 0;
  private sampledInSecond = 0;
  private reportedInSecond = 0;
  /** From running time to time since 1970. */
  private offsetMs: number;

  constructor(private readonly options: TraceRecorderOptions) {
    this.offsetMs = options.now() - options.monotonic();
  }

  use(settings: TraceSettings | null): void {
    this.settings = settings;
  }

  /** Whether a trace that begins now is sampled. */
  readonly sampleNew = (): boolean => {
    const settings = this.settings;
    if (settings === null || settings.headRate <= 0) return false;
    if (settings.headRate < 1 && this.options.random() >= settings.headRate) return false;
    this.turnSecond();
    if (settings.maxPerSecond > 0 && this.sampledInSecond >= settings.maxPerSecond) return false;
    if (this.reportedInSecond >= MOST_BEFORE_NEW_TRACE || this.full) {
      this.dropped++;
      return false;
    }
    this.sampledInSecond++;
    return true;
  };

  /** An exchange has ended. @param nowMs of running time */
  record(x: Exchange, nowMs: number): void {
    const settings = this.settings;
    if (settings === null) return;
    const durationMs = nowMs - x.startedAtMs;
    if (!x.sampled && !failed(x) && !(settings.slowMs > 0 && durationMs >= settings.slowMs && !x.tunnel)) return;
    this.turnSecond();
    if (this.reportedInSecond >= MOST_PER_SECOND || this.full) {
      this.dropped++;
      return;
    }
    this.reportedInSecond++;
    this.spans.push(proxySpan(x, this.offsetMs + x.startedAtMs, durationMs));
    if (this.spans.length >= BATCH && this.underWay < MOST_UNDER_WAY) this.flush();
  }

  /** Sends what there is; to be called a few times a second. */
  flush(): void {
    const offsetMs = this.options.now() - this.options.monotonic();
    if (Math.abs(offsetMs - this.offsetMs) > MOST_DRIFT_MS) this.offsetMs = offsetMs;
    if ((this.spans.length === 0 && this.dropped === 0) || this.underWay >= MOST_UNDER_WAY) return;
    const { spans, dropped } = this;
    this.spans = [];
    this.dropped = 0;
    this.underWay++;
    this.options.send(spans, dropped, () => this.underWay--);
  }

  /** The daemon does not read as fast as there are spans. */
  private get full(): boolean {
    return this.underWay >= MOST_UNDER_WAY && this.spans.length >= BATCH;
  }

  private turnSecond(): void {
    const nowMs = this.options.monotonic();
    if (nowMs - this.secondStartedMs < 1_000) return;
    this.secondStartedMs = nowMs;
    this.sampledInSecond = 0;
    this.reportedInSecond = 0;
  }
}

/** What is worth keeping without having been sampled. A client that went away (DC) is everyday business. */
function failed(x: Exchange): boolean {
  return x.status >= 500 || x.grpcStatus > 0 || (x.flag !== '' && x.flag !== 'DC');
}

function proxySpan(x: Exchange, startMs: number, durationMs: number): ProxySpan {
  const { spec } = x.listener;
  const { request, cluster, peer } = x;
  const inbound = spec.kind === 'inbound';
  const route = x.outerRoute ?? x.route;
  // Which match of the gateway's route it was is not known any more once the service's own route has been found.
  const matches = route?.spec.matches ?? [];
  const match =
    (route === x.route ? matches[x.matchIndex] : matches.length === 1 ? matches[0] : undefined)?.path ?? null;
  return {
    traceId: x.traceId,
    spanId: x.spanId,
    parentSpanId: x.parentSpanId,
    sampled: x.sampled,
    startMs,
    durationMs,
    side: spec.kind === 'gateway' ? 'gateway' : inbound ? 'inbound' : 'outbound',
    service: spec.service,
    instance: spec.workload,
    other: inbound ? serviceOf(peer?.spiffeId ?? '') : (x.backend?.service ?? ''),
    endpoint: inbound ? '' : x.lastEndpoint,
    protocol: protocolOf(x),
    method: request.method,
    scheme: x.scheme,
    authority: x.authority,
    path: x.path.length > MOST_PATH ? x.path.slice(0, MOST_PATH) : x.path,
    route: x.route?.name ?? '',
    routePath: match?.value ?? '',
    gatewayRoute: x.counter?.key.gatewayRoute ?? '',
    ...(x.pickedAtMs === 0 ? {} : { pickedAfterMs: x.pickedAtMs - x.startedAtMs }),
    ...(x.firstByteAtMs === 0 ? {} : { firstByteAfterMs: x.firstByteAtMs - x.startedAtMs }),
    ...(x.tried === null ? {} : { tried: x.tried }),
    status: x.status,
    grpcStatus: x.grpc && x.grpcStatus >= 0 ? x.grpcStatus : null,
    retries: Math.max(0, x.tries - 1),
    flags: x.flag,
    requestBytes: x.requestBytes,
    responseBytes: x.responseBytes,
    tls: inbound ? (peer?.tls ?? false) : cluster !== null && (cluster.spec.spiffeId !== null || cluster.spec.tls),
    peer: inbound ? (peer?.spiffeId ?? '') : (cluster?.spec.spiffeId ?? ''),
    clientAddress: spec.kind === 'gateway' ? x.downConn.remoteAddress : '',
  };
}

function protocolOf(x: Exchange): ProxySpan['protocol'] {
  if (x.grpc) return 'grpc';
  if (x.request.method === 'CONNECT' && x.request.protocol === null) return 'tcp';
  return x.fromHttp2 ? 'http2' : 'http';
}

/** `orders` of `spiffe://shop.local/ns/default/sa/orders`. */
const serviceOf = (spiffeId: string): string => spiffeId.slice(spiffeId.lastIndexOf('/') + 1);
