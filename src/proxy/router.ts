import type { EndpointState } from './cluster/endpoint.ts';
import type { Exchange, ExchangeOwner, TimerKind } from './exchange.ts';
import { grpcStatusOf } from './exchange.ts';
import { runResponseFilters } from './filter-chain.ts';
import { balancerKey } from './load-balancers/balancer-key.ts';
import { localReply } from './local-reply.ts';
import { deleteHeader, header, type ResponseHead } from './message.ts';
import { backoffMs, shouldRetry } from './retry.ts';
import type { NoResponse as AttemptFailure, Outcome } from './cluster/outcome.ts';
import { RESPONSE_FLAGS_HEADER, type ResponseFlag } from './response-flags.ts';

/** Private header of links: the application answered an upgrade with an ordinary response, which HTTP/2 cannot say. */
const UPGRADE_IGNORED_HEADER = 'x-mesh-upgrade';
/** After a refused connection to every instance the next word of the control plane is awaited for so long. */
const LAST_RESORT_WAIT_MS = 1_000;

export interface RouterOptions {
  random: () => number;
  /** An exchange has ended; counters and events are taken from it. */
  onFinished: (x: Exchange) => void;
}

/** Terminal of the filter chain: picks the endpoint, keeps the deadlines, tries again, parks. */
export class Router implements ExchangeOwner {
  constructor(private readonly options: RouterOptions) {}

  /** Sends a routed exchange on its way. `x.cluster`, `x.backend` and `x.route` are set. */
  forward(x: Exchange): void {
    x.canReplay = x.route?.retry != null;
    this.attempt(x);
  }

  /** An instance has become ready, or none is expected any more. */
  release(x: Exchange): void {
    if (x.finished) return;
    x.disarmWait();
    this.attempt(x);
  }

  attemptFailed(x: Exchange, failure: AttemptFailure, message: string): void {
    if (x.finished) return;
    x.lastFailure = message;
    const outcome: Outcome = { kind: failure };
    this.leaveEndpoint(x, outcome);
    x.dropAttempt();
    if (x.cluster === null && failure === 'refused-stream' && x.canReplay && x.tries === 1) {
      // Inbound: the pooled connection had just been closed by the application, which has not seen the request.
      this.attempt(x);
      return;
    }
    if (this.retry(x, outcome)) return;
    if (failure === 'connect-failure' && x.cluster !== null && !x.parked && x.canReplay && this.park(x, LAST_RESORT_WAIT_MS)) return;
    this.replyToFailure(x, failure);
  }

  responseArrived(x: Exchange, head: ResponseHead): boolean {
    const cluster = x.cluster;
    if (cluster === null) {
      // Inbound: the flags header is ours to set, never the application's.
      deleteHeader(head.headers, RESPONSE_FLAGS_HEADER);
      deleteHeader(head.headers, UPGRADE_IGNORED_HEADER);
      this.settleTunnel(x, head);
      return true;
    }
    const flag = cluster.spec.spiffeId === null ? undefined : (header(head.headers, RESPONSE_FLAGS_HEADER) as ResponseFlag | undefined);
    if (x.canReplay) {
      const outcome: Outcome =
        flag === 'UF'
          ? { kind: 'connect-failure' }
          : { kind: 'response', status: head.status, grpcStatus: x.grpc && header(head.headers, 'grpc-status') !== undefined ? grpcStatusOf(head.headers) : null };
      if (flag === 'UF') x.lastFailure = `${x.endpoint?.spec.id ?? cluster.name} does not accept connections`;
      if (this.retryResponse(x, outcome, flag)) return false;
    }
    if (flag !== undefined) x.flag = flag;
    else if (cluster.spec.spiffeId === null) deleteHeader(head.headers, RESPONSE_FLAGS_HEADER);
    if (!this.settleTunnel(x, head)) return false;
    const route = x.route;
    if (route !== null && route.responseFilters.length > 0) runResponseFilters(route.responseFilters, x, head);
    if (x.grpc) x.grpcStatus = header(head.headers, 'grpc-status') === undefined ? -1 : grpcStatusOf(head.headers);
    if (x.tunnel || isEventStream(head)) x.disarmRequest();
    return true;
  }

  timedOut(x: Exchange, kind: TimerKind): void {
    if (x.finished) return;
    const name = x.cluster?.name ?? x.listener.spec.service;
    switch (kind) {
      case 'request': {
        const waited = x.parked ? `: ${x.cluster?.describe(x.backend?.subset ?? null)}` : '';
        localReply(x, 504, 'UT', `${name} did not answer within the request timeout${waited}`);
        return;
      }
      case 'per-try':
        if (!x.responseStarted) this.attemptFailed(x, 'per-try-timeout', `no response from ${name} within the timeout of a try`);
        return;
      case 'idle':
        localReply(x, 504, 'SI', `nothing was sent in either direction for ${x.idleMs} ms`);
        return;
      case 'parking':
        x.cluster?.unpark(x);
        this.replyNoEndpoint(x);
        return;
      case 'backoff':
        this.attempt(x);
        return;
    }
  }

  finished(x: Exchange): void {
    if (x.parked) x.cluster?.unpark(x);
    this.leaveEndpoint(x, x.flag === '' ? { kind: 'response', status: x.status, grpcStatus: x.grpcStatus } : x.flag === 'DC' ? null : { kind: x.flag === 'UT' ? 'per-try-timeout' : 'reset' });
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
    const subset = x.backend?.subset ?? null;
    const endpoint = cluster.pick(subset, balancerKey(cluster.spec.loadBalancer, x.request.headers, sourceOf(x)), x.tried);
    if (endpoint === null) {
      const parking = cluster.spec.parking;
      if (!cluster.expects(subset) || parking.timeoutMs === 0) {
        this.replyNoEndpoint(x);
      } else if (!this.park(x, parking.timeoutMs)) {
        localReply(x, 503, 'UO', `${parking.maxRequests} requests wait for ${cluster.name} already: ${cluster.describe(subset)}`);
      }
      return;
    }
    x.tries++;
    x.endpoint = endpoint;
    endpoint.started();
    if (x.route?.retry != null && x.route.retry.perTryTimeoutMs > 0) x.arm('per-try', x.route.retry.perTryTimeoutMs);
    x.pool = cluster.pool(endpoint, x.listener.spec.identity);
    x.pool.acquire(x);
  }

  /** The request waits for an instance. False: there is no room. */
  private park(x: Exchange, timeoutMs: number): boolean {
    if (x.cluster === null || !x.cluster.park(x)) return false;
    if (!x.parked) {
      x.parked = true;
      x.arm('parking', timeoutMs);
      return true;
    }
    // Released and sent back to wait: the first deadline holds.
    if (x.waitTimer?.expiryList === null) x.arm('parking', timeoutMs);
    return true;
  }

  private retry(x: Exchange, outcome: Outcome): boolean {
    const policy = x.route?.retry ?? null;
    if (policy === null || x.cluster === null || !shouldRetry(policy, outcome, x.tries, x.canReplay)) return false;
    x.arm('backoff', backoffMs(policy, x.tries, this.options.random));
    return true;
  }

  /** The same where the failure is a response: its connection is let go only if there is another try. */
  private retryResponse(x: Exchange, outcome: Outcome, flag: ResponseFlag | undefined): boolean {
    const policy = x.route?.retry ?? null;
    if (policy === null || x.cluster === null) return false;
    if (shouldRetry(policy, outcome, x.tries, x.canReplay)) {
      this.leaveEndpoint(x, outcome);
      x.dropAttempt();
      x.arm('backoff', backoffMs(policy, x.tries, this.options.random));
      return true;
    }
    if (flag !== 'UF' || x.parked) return false;
    this.leaveEndpoint(x, outcome);
    x.dropAttempt();
    if (!this.park(x, LAST_RESORT_WAIT_MS)) this.replyToFailure(x, 'connect-failure');
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
    const overLink = x.upStream !== null;
    if (overLink && deleteHeader(head.headers, UPGRADE_IGNORED_HEADER)) {
      if (x.downStream === null) return true;
      localReply(x, 502, 'UPE', `${x.cluster?.name ?? 'the application'} does not accept the upgrade to ${x.request.protocol}`);
      return false;
    }
    if (overLink) x.tunnel = true;
    else if (!x.tunnel && x.downStream !== null) head.headers.push(UPGRADE_IGNORED_HEADER, 'ignored');
    return true;
  }

  private replyNoEndpoint(x: Exchange): void {
    const cluster = x.cluster!;
    const subset = x.backend?.subset ?? null;
    if (x.lastFailure !== '') {
      this.replyToFailure(x, 'connect-failure');
      return;
    }
    const which = subset === null ? cluster.name : `${cluster.name} (subset ${subset})`;
    localReply(x, 503, 'UH', `no healthy endpoint of ${which}: ${cluster.describe(subset)}; see \`mesh logs ${cluster.name}\``);
  }

  private replyToFailure(x: Exchange, failure: AttemptFailure): void {
    const name = x.cluster?.name ?? x.listener.spec.service;
    const why = x.lastFailure;
    const see = `; see \`mesh logs ${name}\``;
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

/** Who sends: the client's address at the gateway, the calling instance in the mesh. */
function sourceOf(x: Exchange): string {
  return x.listener.spec.kind === 'gateway' ? x.downConn.remoteAddress : x.listener.spec.workload;
}

function isEventStream(head: ResponseHead): boolean {
  return header(head.headers, 'content-type')?.startsWith('text/event-stream') === true;
}
