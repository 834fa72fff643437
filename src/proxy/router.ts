import { performance } from 'node:perf_hooks';
import type { EndpointState } from './cluster/endpoint.ts';
import type { NoResponse as AttemptFailure, Outcome } from './cluster/outcome.ts';
import { coarseMs } from './deadlines.ts';
import type { Exchange, ExchangeOwner, TimerKind } from './exchange.ts';
import { grpcStatusOf } from './exchange.ts';
import { runResponseFilters } from './filter-chain.ts';
import { balancerKey } from './load-balancers/balancer-key.ts';
import { localReply } from './local-reply.ts';
import { deleteHeader, header, type ResponseHead } from './message.ts';
import { RESPONSE_FLAGS_HEADER, type ResponseFlag } from './response-flags.ts';
import { backoffMs, shouldRetry } from './retry.ts';

/** Private header of links: the application answered an upgrade with an ordinary response, which HTTP/2 cannot say. */
const UPGRADE_IGNORED_HEADER = 'x-mesh-upgrade';
/** After a refused connection to every instance the next word of the control plane is awaited for so long. */
const LAST_RESORT_WAIT_MS = 1_000;
/** Tries of a request that peers refused without looking at it, which is always safe to send again (RFC 9113 section 8.7). */
const REFUSED_TRIES = 3;

/** What a flag of the other proxy says about the try. */
const FLAG_FAILURES: { readonly [flag: string]: AttemptFailure | undefined } = {
  UF: 'connect-failure',
  UR: 'refused-stream',
  UC: 'reset',
  UPE: 'protocol-error',
};

export interface RouterOptions {
  random: () => number;
  /** An exchange has ended; counters and events are taken from it. */
  onFinished: (x: Exchange) => void;
}

/** Terminal of the filter chain: picks the endpoint, keeps the deadlines, tries again, parks. */
export class Router implements ExchangeOwner {
  constructor(private readonly options: RouterOptions) {}

  /** Sends a routed exchange on its way. `x.cluster`, `x.backend` and `x.route` are set, or `x.pool` alone. */
  forward(x: Exchange): void {
    // Also without a retry policy: what has reached no application may go to another, or wait for its restart.
    x.canReplay = true;
    this.attempt(x);
  }

  /** An instance has become ready, or none is expected any more. */
  release(x: Exchange): void {
    if (x.finished) return;
    x.parked = false;
    x.disarmWait();
    // What refused before has been replaced, or is worth another look.
    x.tried = null;
    this.attempt(x);
  }

  /**
   * The process of a takeover died while the request was on its way there, and its subset stands aside or is gone: the
   * others get it, as they get new ones. False: the request is where it belongs.
   */
  private leaveSubset(x: Exchange): boolean {
    const { spec } = x.cluster!;
    const { backend } = x;
    if (backend === null || backend.subset === null) return false;
    const { subset } = backend;
    const lives = spec.endpoints.some((each) => each.subset === subset && each.state === 'ready');
    if (spec.subsets.includes(subset) && (subset !== spec.asideSubset || lives)) return false;
    x.backend = { ...backend, subset: null };
    return true;
  }

  attemptFailed(x: Exchange, failure: AttemptFailure, message: string): void {
    if (x.finished) return;
    x.lastFailure = message;
    const outcome: Outcome = { kind: failure };
    this.leaveEndpoint(x, outcome);
    x.dropAttempt();
    if (failure === 'refused-stream' && x.canReplay && x.tries < REFUSED_TRIES) {
      // The connection was on its way out (GOAWAY, an application that closed it): another one will do.
      this.attempt(x);
      return;
    }
    if (this.retry(x, outcome)) return;
    if (failure === 'connect-failure' && this.failOver(x)) return;
    this.replyToFailure(x, failure);
  }

  responseArrived(x: Exchange, head: ResponseHead): boolean {
    const cluster = x.cluster;
    if (cluster === null) {
      // Inbound: the flags header is ours to set, never the application's.
      deleteHeader(head.headers, RESPONSE_FLAGS_HEADER);
      deleteHeader(head.headers, UPGRADE_IGNORED_HEADER);
      return this.settleTunnel(x, head);
    }
    const inMesh = cluster.spec.spiffeId !== null;
    const flag = inMesh ? (header(head.headers, RESPONSE_FLAGS_HEADER) as ResponseFlag | undefined) : undefined;
    if (x.canReplay && this.retryResponse(x, head, flag)) return false;
    if (flag !== undefined) x.flag = flag;
    else if (!inMesh) deleteHeader(head.headers, RESPONSE_FLAGS_HEADER);
    if (!this.settleTunnel(x, head)) return false;
    const { route, outerRoute } = x;
    if (route !== null && route.responseFilters.length > 0) runResponseFilters(route.responseFilters, x, head);
    if (outerRoute !== null && outerRoute.responseFilters.length > 0)
      runResponseFilters(outerRoute.responseFilters, x, head);
    if (x.grpc) x.grpcStatus = header(head.headers, 'grpc-status') === undefined ? -1 : grpcStatusOf(head.headers);
    if (x.tunnel || isEventStream(head)) x.disarmRequest();
    return true;
  }

  timedOut(x: Exchange, kind: TimerKind): void {
    if (x.finished) return;
    const name = nameOf(x);
    switch (kind) {
      case 'request': {
        const waited = x.parked ? `: ${x.cluster?.describe(x.backend?.subset ?? null)}` : '';
        localReply(x, 504, 'UT', `${name} did not answer within the request timeout${waited}`);
        return;
      }
      case 'per-try':
        if (!x.responseStarted)
          this.attemptFailed(x, 'per-try-timeout', `no response from ${name} within the timeout of a try`);
        return;
      case 'idle':
        localReply(x, 504, 'SI', `nothing was sent in either direction for ${x.idleMs} ms`);
        return;
      case 'parking':
        x.cluster?.unpark(x);
        x.parked = false;
        this.replyNoEndpoint(x);
        return;
      case 'backoff':
        this.attempt(x);
        return;
    }
  }

  finished(x: Exchange): void {
    if (x.parked) x.cluster?.unpark(x);
    this.leaveEndpoint(x, lastOutcome(x));
    if (x.appInFlight !== null) {
      x.appInFlight.leave();
      x.appInFlight = null;
    }
    this.options.onFinished(x);
  }

  private attempt(x: Exchange): void {
    const cluster = x.cluster;
    if (cluster === null) {
      x.tries++;
      x.pool?.acquire(x);
      return;
    }
    let endpoint = this.pick(x);
    if (endpoint === null && this.leaveSubset(x)) endpoint = this.pick(x);
    if (endpoint !== null) {
      this.attemptAt(x, endpoint);
      return;
    }
    const subset = x.backend?.subset ?? null;
    const parking = cluster.spec.parking;
    if (!cluster.expects(subset) || !this.mayPark(x)) {
      this.replyNoEndpoint(x);
    } else if (!this.park(x, parking.timeoutMs)) {
      const text = `${parking.maxRequests} requests wait for ${cluster.name} already: ${cluster.describe(subset)}`;
      localReply(x, 503, 'UO', text);
    }
  }

  private pick(x: Exchange): EndpointState | null {
    const cluster = x.cluster!;
    const key = balancerKey(cluster.spec.loadBalancer, x.request.headers, sourceOf(x));
    return cluster.pick(x.backend?.subset ?? null, key, x.tried);
  }

  private attemptAt(x: Exchange, endpoint: EndpointState): void {
    x.tries++;
    x.endpoint = endpoint;
    x.pickedAtMs = performance.now();
    x.connectedAtMs = 0;
    x.waitsForConnection = false;
    endpoint.started();
    if (x.retry !== null && x.retry.perTryTimeoutMs > 0) x.arm('per-try', x.retry.perTryTimeoutMs);
    x.pool = x.cluster!.pool(endpoint, x.listener.spec.identity);
    const attempt = x.tries;
    x.pool.acquire(x);
    // A connection that was there already takes no time, and the clock is not asked.
    if (x.upConn === null && x.tries === attempt) x.waitsForConnection = true;
  }

  /** Whether the request has not waited as long as one may. */
  private mayPark(x: Exchange): boolean {
    const { timeoutMs } = x.cluster!.spec.parking;
    return timeoutMs > 0 && (x.parkedSinceMs === 0 || performance.now() - x.parkedSinceMs < timeoutMs);
  }

  /** The request waits for an instance, `atMostMs` and within what it may wait in all. False: there is no room. */
  private park(x: Exchange, atMostMs: number): boolean {
    const cluster = x.cluster!;
    if (!cluster.park(x)) return false;
    const now = performance.now();
    if (x.parkedSinceMs === 0) x.parkedSinceMs = now;
    x.parked = true;
    const leftMs = x.parkedSinceMs + cluster.spec.parking.timeoutMs - now;
    // A first wait has the configured length, and with it a deadline list that it shares.
    x.arm('parking', leftMs < atMostMs ? coarseMs(leftMs) : atMostMs);
    return true;
  }

  private retry(x: Exchange, outcome: Outcome): boolean {
    const policy = x.retry;
    if (policy === null || x.cluster === null || !shouldRetry(policy, outcome, x.tries, x.canReplay)) return false;
    x.arm('backoff', Math.ceil(backoffMs(policy, x.tries, this.options.random)));
    return true;
  }

  /**
   * Nothing of the request has reached an application, so that it may go to another whatever the route says about
   * retries. If all refuse, a process has likely died just now: it waits for what the control plane makes of it.
   * False: there is nothing more to hope for.
   */
  private failOver(x: Exchange): boolean {
    const cluster = x.cluster;
    if (cluster === null || cluster.spec.spiffeId === null || !x.canReplay) return false;
    const endpoint = this.pick(x);
    if (endpoint === null) this.attempt(x);
    else if (x.tried === null || !x.tried.includes(endpoint.spec.id)) this.attemptAt(x, endpoint);
    else return this.mayPark(x) && this.park(x, LAST_RESORT_WAIT_MS);
    return true;
  }

  /** The same where the failure is a response: its connection is let go only if there is another try. */
  private retryResponse(x: Exchange, head: ResponseHead, flag: ResponseFlag | undefined): boolean {
    const policy = x.retry;
    if (policy === null && flag !== 'UF') return false;
    // What nearly always happens is settled without building an outcome.
    if (flag === undefined && head.status < 400 && !x.grpc && policy!.statusCodes.length === 0) return false;
    const failure = flag === undefined ? undefined : FLAG_FAILURES[flag];
    const outcome: Outcome = failure === undefined ? outcomeOf(x, head) : { kind: failure };
    const again = policy !== null && shouldRetry(policy, outcome, x.tries, x.canReplay);
    if (!again && flag !== 'UF') return false;
    x.lastFailure =
      flag === 'UF' ? `${x.endpoint?.spec.id} runs and does not accept connections` : `status ${head.status}`;
    this.leaveEndpoint(x, outcome);
    x.dropAttempt();
    if (again) x.arm('backoff', Math.ceil(backoffMs(policy, x.tries, this.options.random)));
    else if (!this.failOver(x)) this.replyToFailure(x, 'connect-failure');
    return true;
  }

  private leaveEndpoint(x: Exchange, outcome: Outcome | null): void {
    const endpoint: EndpointState | null = x.endpoint;
    if (endpoint === null) return;
    x.endpoint = null;
    x.lastEndpoint = endpoint.spec.id;
    endpoint.ended(outcome);
    if (outcome !== null && !x.finished) (x.tried ??= []).push(endpoint.spec.id);
  }

  /** False: the exchange was answered otherwise. */
  private settleTunnel(x: Exchange, head: ResponseHead): boolean {
    const wanted = x.request.protocol !== null || x.request.method === 'CONNECT';
    if (!wanted || head.status < 200 || head.status > 299) return true;
    // A connection of HTTP/1.1 or raw TCP has said so already: by 101, or by being there.
    let accepted = x.tunnel;
    if (x.upStream !== null) accepted = !deleteHeader(head.headers, UPGRADE_IGNORED_HEADER);
    if (accepted) {
      x.tunnel = true;
      return true;
    }
    // HTTP/1.1 clients understand an ordinary response to their upgrade; to HTTP/2, any 2xx opens the tunnel.
    if (x.downStream === null) return true;
    if (x.listener.spec.kind === 'inbound') {
      head.headers.push(UPGRADE_IGNORED_HEADER, 'ignored');
      return true;
    }
    localReply(x, 502, 'UPE', `${nameOf(x)} does not accept the upgrade to ${x.request.protocol}`);
    return false;
  }

  private replyNoEndpoint(x: Exchange): void {
    const cluster = x.cluster!;
    const subset = x.backend?.subset ?? null;
    if (x.lastFailure !== '' && !cluster.expects(subset)) {
      this.replyToFailure(x, 'connect-failure');
      return;
    }
    const which = subset === null ? cluster.name : `${cluster.name} (subset ${subset})`;
    localReply(
      x,
      503,
      'UH',
      `no healthy endpoint of ${which}: ${cluster.describe(subset)}; see \`mesh logs ${cluster.name}\``,
    );
  }

  private replyToFailure(x: Exchange, failure: AttemptFailure): void {
    const name = nameOf(x);
    const why = x.lastFailure;
    const ours = x.cluster !== null || x.listener.spec.kind === 'inbound';
    const see = ours ? `; see \`mesh logs ${name}\`` : '';
    switch (failure) {
      case 'connect-failure':
        localReply(x, 503, 'UF', `no connection to ${name}: ${why}${see}`);
        return;
      case 'refused-stream':
        localReply(x, 503, 'UR', `${name} refused the request: ${why}${see}`);
        return;
      case 'per-try-timeout':
        localReply(x, 504, 'UT', `${why} (${x.tries} tries)`);
        return;
      case 'protocol-error':
        localReply(x, 502, 'UPE', `${name} answered with something that is no valid response: ${why}`);
        return;
      case 'reset':
        localReply(x, 502, 'UC', `${name} broke off before it answered: ${why}${see}`);
        return;
    }
  }
}

/** Who should answer, for people. */
function nameOf(x: Exchange): string {
  if (x.cluster !== null) return x.cluster.name;
  return x.listener.spec.kind === 'inbound' ? x.listener.spec.service : x.request.authority;
}

/** Who sends: the client's address at the gateway, the calling instance in the mesh. */
function sourceOf(x: Exchange): string {
  return x.listener.spec.kind === 'gateway' ? x.downConn.remoteAddress : x.listener.spec.workload;
}

function outcomeOf(x: Exchange, head: ResponseHead): Outcome {
  const trailersOnly = x.grpc && header(head.headers, 'grpc-status') !== undefined;
  return { kind: 'response', status: head.status, grpcStatus: trailersOnly ? grpcStatusOf(head.headers) : null };
}

/** What the end of an exchange says about the endpoint that had it; null: nothing, it was the client's doing. */
function lastOutcome(x: Exchange): Outcome | null {
  switch (x.flag) {
    case '':
      return { kind: 'response', status: x.status, grpcStatus: x.grpcStatus };
    case 'DC':
    case 'DPE':
      return null;
    case 'UT':
      return { kind: 'per-try-timeout' };
    default:
      return { kind: FLAG_FAILURES[x.flag] ?? 'reset' };
  }
}

function isEventStream(head: ResponseHead): boolean {
  return header(head.headers, 'content-type')?.startsWith('text/event-stream') === true;
}
