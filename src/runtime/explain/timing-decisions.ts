import type { MeshConfig } from '../../model/config.ts';
import { formatPath } from '../../model/config-path.ts';
import type { ExplainedRequest, Origin, RetryDecision, TimeoutDecision } from '../../model/explanation.ts';
import {
  type OriginPlace,
  type PolicyLevels,
  parkingOrigin,
  policyLevels,
  retriesOrigin,
  timeoutOrigin,
} from '../../model/policy-origins.ts';
import type { ResolvedRoute } from '../../model/resolved.ts';
import type { Cluster } from '../../model/snapshot.ts';
import { idleTimeoutMs, requestTimeoutMs } from '../../proxy/decisions.ts';
import { parseGrpcTimeout } from '../../proxy/grpc-timeout.ts';
import { header } from '../../proxy/message.ts';
import type { Walk } from '../../proxy/route-walk.ts';

export interface ConfigView {
  config: MeshConfig;
  locate: (path: string) => string;
}

/** The routes that decide about time: the last one, and the gateway's before it. */
interface Deciding {
  own: ResolvedRoute;
  outer: ResolvedRoute | undefined;
}

function deciding({ visits }: Walk): Deciding {
  const routes = visits.map(({ taken }) => taken!.route.spec);
  return { own: routes.at(-1)!, outer: routes.length > 1 ? routes[0] : undefined };
}

/** Every limit of time in force for a request, and where it was said. */
export function timeoutDecisions(
  walk: Walk,
  cluster: Cluster,
  protocol: ExplainedRequest['protocol'],
  view: ConfigView,
): TimeoutDecision[] {
  const { own, outer } = deciding(walk);
  const ownLevels = policyLevels(view.config, own.path);
  const outerLevels = outer === undefined ? null : policyLevels(view.config, outer.path);
  const serviceLevels = policyLevels(view.config, formatPath(['services', cluster.service]));
  const at = (place: OriginPlace): Origin => originOf(place, view);
  /** Of a value that the gateway's route may have decided. */
  const from = (field: 'request' | 'idle', ms: number, outerMs: number | undefined): Origin =>
    at(timeoutOrigin(outerLevels !== null && outerMs === ms && ms > 0 ? outerLevels : ownLevels, field));

  const timeouts: TimeoutDecision[] = [];
  if (protocol !== 'tcp') timeouts.push(requestTimeout(walk, own, outer, protocol, from));
  const retries = outer?.retries ?? own.retries;
  if (retries !== null && retries.perTryTimeoutMs > 0) {
    const levels = outer !== undefined && outer.retries !== null ? outerLevels! : ownLevels;
    timeouts.push({ name: 'per-try', ms: retries.perTryTimeoutMs, origin: at(retriesOrigin(levels, 'perTryTimeout')) });
  }
  const idleMs = idleTimeoutMs(own.timeouts, outer?.timeouts);
  timeouts.push({ name: 'idle', ms: idleMs, origin: from('idle', idleMs, outer?.timeouts.idleMs) });
  timeouts.push({ name: 'connect', ms: cluster.connectTimeoutMs, origin: at(timeoutOrigin(serviceLevels, 'connect')) });
  if (cluster.spiffeId !== null)
    timeouts.push({ name: 'parking', ms: cluster.parking.timeoutMs, origin: at(parkingOrigin(serviceLevels)) });
  return timeouts;
}

function requestTimeout(
  { request }: Walk,
  own: ResolvedRoute,
  outer: ResolvedRoute | undefined,
  protocol: ExplainedRequest['protocol'],
  from: (field: 'request', ms: number, outerMs: number | undefined) => Origin,
): TimeoutDecision {
  const ms = requestTimeoutMs(own.timeouts, outer?.timeouts);
  const wanted = protocol === 'grpc' ? header(request.headers, 'grpc-timeout') : undefined;
  const wantedMs = wanted === undefined ? null : parseGrpcTimeout(wanted);
  if (wantedMs !== null && (ms === 0 || wantedMs < ms))
    return { name: 'request', ms: wantedMs, origin: { level: 'request', path: 'grpc-timeout', source: '' } };
  return { name: 'request', ms, origin: from('request', ms, outer?.timeouts.requestMs) };
}

/** Null: a request that fails is not sent again, but for one that no application has seen. */
export function retryDecision(walk: Walk, view: ConfigView): RetryDecision | null {
  const { own, outer } = deciding(walk);
  const decides = outer !== undefined && outer.retries !== null ? outer : own;
  const { retries } = decides;
  if (retries === null) return null;
  const levels: PolicyLevels = policyLevels(view.config, decides.path);
  return {
    attempts: retries.attempts,
    on: [...retries.on],
    statusCodes: [...retries.statusCodes],
    backoffMs: retries.backoffMs,
    maxBackoffMs: retries.maxBackoffMs,
    budget: null,
    origin: originOf(retriesOrigin(levels), view),
  };
}

const originOf = (place: OriginPlace, { locate }: ConfigView): Origin => ({
  ...place,
  source: place.path === '' ? '' : locate(place.path),
});
