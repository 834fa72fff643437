import type tls from 'node:tls';
import type { HealthCheck } from '../../model/resolved.ts';
import type { Endpoint } from '../../model/snapshot.ts';
import { applicationTls } from '../connector.ts';
import { type Probe, probeEndpoint } from './health-probe.ts';

/** Timers, injected so that thresholds and intervals are tested without waiting. */
export interface CheckClock {
  setTimeout(callback: () => void, delayMs: number): { unref(): unknown };
  clearTimeout(timer: { unref(): unknown }): void;
}

const NODE_CLOCK: CheckClock = {
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

/** How the endpoints of a cluster are reached. */
export interface CheckedPeer {
  /** Options of TLS connections to the endpoints, null or absent: plain text. Those that insist on TLS get it anyway. */
  readonly tls?: tls.ConnectionOptions | null;
  /** Host name to ask for; null or absent: the endpoint's address. */
  readonly authority?: string | null;
}

export interface HealthCheckerOptions extends CheckedPeer {
  readonly clock?: CheckClock;
  /** Numbers from [0, 1). */
  readonly random?: () => number;
  readonly probe?: Probe;
}

/** First checks of the endpoints of a cluster are spread over at most this time. */
const SPREAD_MS = 500;
/** Share of the interval by which a wait is longer or shorter, so that checks do not fall into step. */
const JITTER = 0.1;

/**
 * Active health checks of the endpoints of one cluster. An endpoint counts as healthy until a check says otherwise:
 * it was ready when it came here. The very first check decides alone, since nothing else is known; from then on it
 * takes `unhealthyThreshold` failures or `healthyThreshold` successes in a row to change the verdict.
 * Verdicts belong to (cluster, endpoint) and outlive reloads: `reconcile` starts and stops checks, and an endpoint
 * keeps its record as long as it is the same process.
 */
export class HealthChecker {
  private readonly checks = new Map<string, EndpointCheck>();
  private closed = false;
  private readonly clock: CheckClock;
  private readonly random: () => number;
  private readonly probe: Probe;
  private peer: CheckedPeer;

  /** @param onChange an endpoint's verdict changed; `reason` says why the last check failed, empty when it passed */
  constructor(
    readonly cluster: string,
    private spec: HealthCheck,
    private readonly onChange: (endpointId: string, healthy: boolean, reason: string) => void,
    options: HealthCheckerOptions = {},
  ) {
    this.clock = options.clock ?? NODE_CLOCK;
    this.random = options.random ?? Math.random;
    this.probe = options.probe ?? probeEndpoint;
    this.peer = options;
  }

  /** Brings the checks in line with a new snapshot. Only ready endpoints are checked: of the others it is known why they do not answer. */
  reconcile(endpoints: readonly Endpoint[], spec: HealthCheck = this.spec, peer: CheckedPeer = this.peer): void {
    if (this.closed) return;
    this.peer = peer;
    const actionChanged = JSON.stringify(spec.action) !== JSON.stringify(this.spec.action);
    this.spec = spec;
    const wanted = new Set<string>();
    for (const endpoint of endpoints) {
      if (endpoint.state !== 'ready') continue;
      wanted.add(endpoint.id);
      const known = this.checks.get(endpoint.id);
      if (known !== undefined && !actionChanged && isSameProcess(known.endpoint, endpoint)) {
        known.endpoint = endpoint;
        continue;
      }
      if (known !== undefined) this.stop(known);
      this.start(endpoint);
    }
    for (const check of [...this.checks.values()]) if (!wanted.has(check.endpoint.id)) this.stop(check);
  }

  /** Last verdict; true for endpoints that are not checked. */
  isHealthy(endpointId: string): boolean {
    return this.checks.get(endpointId)?.healthy ?? true;
  }

  /** Why the last check of an endpoint failed; empty if it passed or there was none. */
  lastFailure(endpointId: string): string {
    return this.checks.get(endpointId)?.lastFailure ?? '';
  }

  /** Ends all checks; nothing is reported any more. */
  close(): void {
    this.closed = true;
    for (const check of this.checks.values()) this.cancel(check);
    this.checks.clear();
  }

  private start(endpoint: Endpoint): void {
    const check: EndpointCheck = {
      endpoint,
      healthy: true,
      decided: false,
      streak: 0,
      lastFailure: '',
      timer: null,
      running: null,
    };
    this.checks.set(endpoint.id, check);
    this.schedule(check, this.random() * Math.min(SPREAD_MS, this.spec.intervalMs));
  }

  /** An endpoint that is no longer checked is not held down by what was found before. */
  private stop(check: EndpointCheck): void {
    this.cancel(check);
    this.checks.delete(check.endpoint.id);
    if (!check.healthy) this.onChange(check.endpoint.id, true, '');
  }

  private cancel(check: EndpointCheck): void {
    if (check.timer !== null) this.clock.clearTimeout(check.timer);
    check.timer = null;
    const running = check.running;
    check.running = null;
    running?.abort(new Error('the check was ended'));
  }

  private schedule(check: EndpointCheck, delayMs: number): void {
    check.timer = this.clock.setTimeout(() => {
      check.timer = null;
      void this.run(check);
    }, delayMs);
    check.timer.unref();
  }

  private async run(check: EndpointCheck): Promise<void> {
    const { timeoutMs, action } = this.spec;
    const controller = new AbortController();
    check.running = controller;
    const timer = this.clock.setTimeout(
      () => controller.abort(new Error(`no answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    timer.unref();
    const { host, port } = check.endpoint.health;
    const tls = check.endpoint.health.tls ? applicationTls(host) : (this.peer.tls ?? null);
    const target = { host, port, tls, authority: this.peer.authority ?? null };
    const failure = await this.probe(action, target, controller.signal);
    this.clock.clearTimeout(timer);
    // Ended meanwhile: the result is of an endpoint that nobody asks for any more.
    if (check.running !== controller) return;
    check.running = null;
    this.judge(check, failure);
    if (this.checks.get(check.endpoint.id) !== check) return;
    this.schedule(check, this.spec.intervalMs * (1 - JITTER + 2 * JITTER * this.random()));
  }

  private judge(check: EndpointCheck, failure: string | null): void {
    const passed = failure === null;
    check.lastFailure = failure ?? '';
    const first = !check.decided;
    check.decided = true;
    if (passed === check.healthy) {
      check.streak = 0;
      return;
    }
    check.streak++;
    const threshold = passed ? this.spec.healthyThreshold : this.spec.unhealthyThreshold;
    if (!first && check.streak < threshold) return;
    check.healthy = passed;
    check.streak = 0;
    this.onChange(check.endpoint.id, passed, check.lastFailure);
  }
}

interface EndpointCheck {
  endpoint: Endpoint;
  healthy: boolean;
  /** A check has ended. */
  decided: boolean;
  /** Results in a row that speak against the verdict. */
  streak: number;
  lastFailure: string;
  timer: { unref(): unknown } | null;
  running: AbortController | null;
}

function isSameProcess(a: Endpoint, b: Endpoint): boolean {
  return (
    a.host === b.host &&
    a.port === b.port &&
    a.health.host === b.health.host &&
    a.health.port === b.health.port &&
    a.health.tls === b.health.tls
  );
}
