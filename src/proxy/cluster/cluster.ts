import type { Cluster as ClusterSpec } from '../../model/snapshot.ts';
import type { Exchange } from '../exchange.ts';
import { type BalancerKey, type LoadBalancer, NO_KEY } from '../load-balancers/load-balancer.ts';
import { createLoadBalancer } from '../load-balancers/registry.ts';
import type { UpstreamPool } from '../upstream.ts';
import type { ClusterView } from './cluster-view.ts';
import { EndpointState } from './endpoint.ts';

/** Makes the pool for one endpoint; `workload` names whose identity is presented. */
export type PoolFactory = (cluster: Cluster, endpoint: EndpointState, identity: string) => UpstreamPool;

/** The endpoints that requests for one subset (or for all) can go to now, and the balancer over them. */
interface Choice {
  eligible: EndpointState[];
  balancer: LoadBalancer;
}

/**
 * What is alive of a service as callers see it: its endpoints with their connections, the balancers and the requests
 * that wait for an instance. It outlives snapshots: a new one is reconciled by instance name, so that pools, health and
 * counters of what stays are kept.
 */
export class Cluster {
  readonly name: string;
  private readonly endpoints = new Map<string, EndpointState>();
  /** By subset name, '' for all. */
  private readonly choices = new Map<string, Choice>();
  private readonly pools = new Map<string, Map<string, UpstreamPool>>();
  private readonly parked = new Set<Exchange>();
  private closed = false;

  constructor(
    public spec: ClusterSpec,
    private readonly makePool: PoolFactory,
    private readonly random: () => number,
    private readonly onRelease: (x: Exchange) => void,
  ) {
    this.name = spec.service;
    this.reconcile(spec);
  }

  /** Puts a new specification in force. Endpoints that are gone drain; parked requests are tried again. */
  reconcile(spec: ClusterSpec): void {
    const sameBalancer = JSON.stringify(spec.loadBalancer) === JSON.stringify(this.spec.loadBalancer);
    const sameAddressing =
      spec.tls === this.spec.tls && spec.protocol === this.spec.protocol && spec.spiffeId === this.spec.spiffeId;
    this.spec = spec;
    const named = new Set<string>();
    for (const endpoint of spec.endpoints) {
      named.add(endpoint.id);
      const state = this.endpoints.get(endpoint.id);
      if (state === undefined) this.endpoints.set(endpoint.id, new EndpointState(endpoint));
      else {
        if (!sameAddressing || state.spec.host !== endpoint.host || state.spec.port !== endpoint.port)
          this.dropPools(endpoint.id);
        state.update(endpoint);
      }
    }
    for (const id of [...this.endpoints.keys()]) {
      if (named.has(id)) continue;
      this.endpoints.delete(id);
      this.dropPools(id);
    }
    if (!sameBalancer) this.choices.clear();
    this.refresh();
  }

  /** An active health check changed its mind. */
  setHealthy(id: string, healthy: boolean): void {
    const state = this.endpoints.get(id);
    if (state === undefined || state.healthy === healthy) return;
    state.healthy = healthy;
    this.refresh();
  }

  /** An endpoint for a request, or null when none is ready. Those in `x.tried` are avoided while there are others. */
  pick(subset: string | null, key: BalancerKey, tried: readonly string[] | null): EndpointState | null {
    const choice = this.choice(subset ?? '');
    const index = choice.balancer.pick(choice.eligible, key, tried);
    return index === null ? null : choice.eligible[index];
  }

  pool(endpoint: EndpointState, identity: string): UpstreamPool {
    const id = endpoint.spec.id;
    let byIdentity = this.pools.get(id);
    if (byIdentity === undefined) this.pools.set(id, (byIdentity = new Map()));
    let pool = byIdentity.get(identity);
    if (pool === undefined) byIdentity.set(identity, (pool = this.makePool(this, endpoint, identity)));
    return pool;
  }

  /** Whether an instance of the subset is on its way, so that waiting makes sense. */
  expects(subset: string | null): boolean {
    if (this.closed) return false;
    // None at all: it waits for what it depends on.
    if (this.endpoints.size === 0) return this.spec.spiffeId !== null;
    for (const endpoint of this.endpoints.values()) {
      if (endpoint.spec.state === 'starting' && this.isMeant(endpoint, subset ?? '')) return true;
    }
    return false;
  }

  /** False: too many wait already. */
  park(x: Exchange): boolean {
    if (this.parked.size >= this.spec.parking.maxRequests) return false;
    this.parked.add(x);
    return true;
  }

  unpark(x: Exchange): void {
    this.parked.delete(x);
  }

  /** For people: `2 of 2 starting`. */
  describe(subset: string | null): string {
    const counts = new Map<string, number>();
    let total = 0;
    for (const endpoint of this.endpoints.values()) {
      if (!this.isMeant(endpoint, subset ?? '')) continue;
      total++;
      const state =
        endpoint.spec.state === 'ready' && !endpoint.healthy ? 'failing its health check' : endpoint.spec.state;
      counts.set(state, (counts.get(state) ?? 0) + 1);
    }
    if (total === 0) return this.closed ? 'removed from the mesh' : 'not started yet';
    return [...counts].map(([state, n]) => `${n} of ${total} ${state}`).join(', ');
  }

  /**
   * What is known here of every endpoint, and who would get the next request with this key. Takes nobody's turn.
   * @param failureOf why the last health check of an endpoint failed; empty: it did not
   */
  view(subset: string | null, key: BalancerKey, failureOf: (id: string) => string): ClusterView {
    const { eligible, balancer } = this.choice(subset ?? '');
    const chances = balancer.foresee(eligible, key);
    const endpoints = [...this.endpoints.values()].map((endpoint) => {
      const { spec, healthy, inFlight, requests, failures, consecutiveFailures } = endpoint;
      const chance = chances[eligible.indexOf(endpoint)] ?? 0;
      const checkFailure = failureOf(spec.id);
      return { id: spec.id, healthy, checkFailure, inFlight, requests, failures, consecutiveFailures, chance };
    });
    return { endpoints, hashed: key !== NO_KEY, waiting: this.parked.size, expects: this.expects(subset) };
  }

  inFlight(id: string): number {
    return this.endpoints.get(id)?.inFlight ?? 0;
  }

  /** The service is gone: what is under way finishes, what waits is told so. */
  close(): void {
    this.closed = true;
    for (const id of [...this.pools.keys()]) this.dropPools(id);
    this.endpoints.clear();
    this.refresh();
  }

  /** Closes every connection at once. */
  destroy(): void {
    for (const byIdentity of this.pools.values()) for (const pool of byIdentity.values()) pool.destroy();
    this.close();
  }

  /** Connections made with an identity that is no longer in force finish what they carry; new requests get new ones. */
  renewIdentity(identity: string): void {
    for (const byIdentity of this.pools.values()) {
      const pool = byIdentity.get(identity);
      if (pool === undefined) continue;
      byIdentity.delete(identity);
      pool.drain();
    }
  }

  private dropPools(id: string): void {
    const byIdentity = this.pools.get(id);
    if (byIdentity === undefined) return;
    this.pools.delete(id);
    for (const pool of byIdentity.values()) pool.drain();
  }

  private choice(subset: string): Choice {
    let choice = this.choices.get(subset);
    if (choice === undefined) {
      choice = { eligible: this.eligible(subset), balancer: createLoadBalancer(this.spec.loadBalancer, this.random) };
      this.choices.set(subset, choice);
    }
    return choice;
  }

  /** Whether requests for a subset ('' where none is named) may go to an endpoint. */
  private isMeant({ spec }: EndpointState, subset: string): boolean {
    return subset === '' ? spec.subset !== this.spec.asideSubset : spec.subset === subset;
  }

  private eligible(subset: string): EndpointState[] {
    const result: EndpointState[] = [];
    for (const endpoint of this.endpoints.values()) {
      if (endpoint.spec.state === 'ready' && endpoint.healthy && this.isMeant(endpoint, subset)) result.push(endpoint);
    }
    return result;
  }

  private refresh(): void {
    for (const [subset, choice] of this.choices) {
      const eligible = this.eligible(subset);
      // Balancers know a change by the array: the same members in a new one would rebuild rings for nothing.
      if (!sameMembers(choice.eligible, eligible)) choice.eligible = eligible;
    }
    this.releaseParked();
  }

  private releaseParked(): void {
    if (this.parked.size === 0) return;
    const released = [...this.parked];
    this.parked.clear();
    for (const x of released) this.onRelease(x);
  }
}

function sameMembers(a: readonly EndpointState[], b: readonly EndpointState[]): boolean {
  return a.length === b.length && a.every((endpoint, i) => endpoint === b[i]);
}
