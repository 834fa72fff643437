import type { EndpointChoice, EndpointsDecision } from '../../model/explanation.ts';
import type { ProxySpan } from '../../model/proxy-span.ts';
import type { Backend, LoadBalancer } from '../../model/resolved.ts';
import type { Cluster, Endpoint } from '../../model/snapshot.ts';
import type { ClusterView, EndpointView } from '../../proxy/cluster/cluster-view.ts';

export interface EndpointFacts {
  cluster: Cluster;
  backend: Backend;
  /** All of the route's, with a weight or without. */
  backends: readonly Backend[];
  /** Null: the data plane did not answer. */
  view: ClusterView | null;
  /** Caller's part of a request that happened; null: it might happen. */
  caller: ProxySpan | null;
  /** Why an instance is in its state, for people; empty where there is nothing to say. */
  reasonOf: (instance: string) => string;
}

/** Which endpoint would be, or was, picked, and why not the others. */
export function endpointsDecision(facts: EndpointFacts): EndpointsDecision {
  const { cluster, backend, view } = facts;
  return {
    service: cluster.service,
    subset: backend.subset,
    balancer: balancerWords(cluster.loadBalancer),
    live: view !== null,
    waiting: view?.waiting ?? 0,
    endpoints: cluster.endpoints.map((endpoint) => endpointChoice(endpoint, facts)),
  };
}

/** Whether any endpoint may take a request now. */
export function anyEligible({ cluster, backend, view }: EndpointFacts): boolean {
  return cluster.endpoints.some((endpoint) => whySkipped(endpoint, viewOf(view, endpoint), cluster, backend) === null);
}

export function balancerWords(balancer: LoadBalancer): string {
  if (balancer.kind !== 'ring-hash') return balancer.kind;
  const { key } = balancer;
  return key.kind === 'source' ? 'ring-hash by source' : `ring-hash by ${key.kind} ${key.name}`;
}

const viewOf = (view: ClusterView | null, { id }: Endpoint): EndpointView | undefined =>
  view?.endpoints.find((endpoint) => endpoint.id === id);

function endpointChoice(endpoint: Endpoint, facts: EndpointFacts): EndpointChoice {
  const { cluster, view } = facts;
  const seen = viewOf(view, endpoint);
  const external = cluster.spiffeId === null;
  return {
    instance: endpoint.id,
    subset: endpoint.subset,
    address: `${endpoint.host}:${endpoint.port}`,
    app: external ? null : `${endpoint.health.host}:${endpoint.health.port}`,
    state: endpoint.state,
    ...(facts.caller === null ? mightBe(endpoint, seen, facts) : was(endpoint, seen, facts, facts.caller)),
    inFlight: seen?.inFlight ?? 0,
    requests: seen?.requests ?? 0,
    failures: seen?.failures ?? 0,
  };
}

type Verdict = Pick<EndpointChoice, 'choice' | 'chance' | 'why'>;

function mightBe(endpoint: Endpoint, seen: EndpointView | undefined, facts: EndpointFacts): Verdict {
  const { cluster, backend, view } = facts;
  const skipped = reasonToSkip(endpoint, seen, facts);
  if (skipped !== null) return { choice: 'skipped', chance: 0, why: skipped };
  const others = cluster.endpoints.filter(
    (other) => other.id !== endpoint.id && whySkipped(other, viewOf(view, other), cluster, backend) === null,
  );
  if (others.length === 0) return { choice: 'next', chance: 1, why: 'the only one that can take it' };
  if (seen === undefined) return { choice: 'possible', chance: null, why: 'it can take it' };
  const { chance } = seen;
  if (chance === 1) return { choice: 'next', chance, why: whySettled(cluster.loadBalancer) };
  if (chance > 0) return { choice: 'possible', chance, why: whyPossible(cluster.loadBalancer, seen, view!) };
  return { choice: 'skipped', chance, why: whyNotNow(cluster.loadBalancer, endpoint, seen) };
}

function was(endpoint: Endpoint, seen: EndpointView | undefined, facts: EndpointFacts, caller: ProxySpan): Verdict {
  const balancer = balancerWords(facts.cluster.loadBalancer);
  const tries = caller.tried ?? [];
  const which = (at: number): string => (caller.retries === 0 && tries.length === 0 ? '' : `try ${at}: `);
  if (endpoint.id === caller.endpoint) {
    // The last try is among those that failed only where another was to follow.
    const at = tries.at(-1) === endpoint.id && tries.length > caller.retries ? tries.length : tries.length + 1;
    return { choice: 'picked', chance: null, why: `${which(at)}picked by ${balancer}` };
  }
  const tried = tries.indexOf(endpoint.id);
  if (tried >= 0) return { choice: 'tried', chance: null, why: `${which(tried + 1)}picked by ${balancer}, and failed` };
  const skipped = reasonToSkip(endpoint, seen, facts);
  if (skipped !== null) {
    const ofOther = facts.backend.subset !== null && endpoint.subset !== facts.backend.subset;
    return { choice: 'skipped', chance: null, why: ofOther ? skipped : `${skipped} (now)` };
  }
  const picked = caller.endpoint === '' ? 'none was picked' : `${balancer} picked ${caller.endpoint}`;
  return { choice: 'skipped', chance: null, why: picked };
}

function reasonToSkip(endpoint: Endpoint, seen: EndpointView | undefined, facts: EndpointFacts): string | null {
  const why = whySkipped(endpoint, seen, facts.cluster, facts.backend);
  if (why === null) return null;
  if (why !== 'subset') {
    const reason = why === endpoint.state ? facts.reasonOf(endpoint.id) : '';
    return reason === '' ? why : `${why}: ${reason}`;
  }
  const total = facts.backends.reduce((sum, { weight }) => sum + weight, 0);
  const own = facts.backends.find(
    ({ service, subset }) => service === facts.cluster.service && subset === endpoint.subset,
  );
  const share = own === undefined || total === 0 ? 0 : own.weight / total;
  return share === 0
    ? `of subset ${endpoint.subset}, to which this route sends nothing`
    : `of subset ${endpoint.subset}, which gets ${percent(share)} of this route's requests`;
}

/** Null: it may take the request. `subset`: it is of another one. */
function whySkipped(
  endpoint: Endpoint,
  seen: EndpointView | undefined,
  { healthCheck }: Cluster,
  { subset }: Backend,
): string | null {
  if (subset !== null && endpoint.subset !== subset) return 'subset';
  if (endpoint.state !== 'ready') return endpoint.state;
  if (seen === undefined || seen.healthy) return null;
  const action = healthCheck === null ? 'check' : `${healthCheck.action.kind} check`;
  return `unhealthy: it fails its health ${action}${seen.checkFailure === '' ? '' : `: ${seen.checkFailure}`}`;
}

function whySettled(balancer: LoadBalancer): string {
  switch (balancer.kind) {
    case 'ring-hash':
      return `${balancerWords(balancer)}: the key of this request belongs to it`;
    case 'least-request':
      return 'least-request: it is less busy than every other';
    case 'weighted':
      return 'weighted: its turn by weight';
    default:
      return `${balancer.kind}: its turn`;
  }
}

function whyPossible(balancer: LoadBalancer, { chance, inFlight }: EndpointView, { hashed }: ClusterView): string {
  const likely = `${percent(chance)} of the picks`;
  if (balancer.kind === 'least-request') return `least-request: ${likely} with ${inFlight} in flight`;
  if (balancer.kind === 'ring-hash' && !hashed)
    return `${balancerWords(balancer)}: the request has no such key, so ${likely}`;
  return `${balancer.kind}: ${likely}`;
}

function whyNotNow(balancer: LoadBalancer, { weight }: Endpoint, { inFlight }: EndpointView): string {
  switch (balancer.kind) {
    case 'ring-hash':
      return 'the key of this request belongs to another';
    case 'least-request':
      return `busier than the others: ${inFlight} in flight`;
    case 'weighted':
      return weight === 0 ? 'its weight is 0' : 'weighted: not its turn';
    default:
      return `${balancer.kind}: not its turn`;
  }
}

/** `33 %`, `0.5 %` */
export const percent = (share: number): string => `${Number((share * 100).toPrecision(3))} %`;
