import type { ResolvedRoute } from '../model/resolved.ts';
import type { Cluster as ClusterSpec } from '../model/snapshot.ts';
import { header, type RequestHead, setHeader } from './message.ts';

/**
 * Decisions about a request that follow from what is in force and its head alone. The connection manager makes them for
 * each request, and `mesh explain` for one that might come: both must get the same answers.
 */

/** Header in which the inbound proxy tells who calls. What a caller sends under that name is dropped. */
export const XFCC = 'x-forwarded-client-cert';

/** The service a host name means in a mesh: its name, alone or under one of the mesh's own suffixes. Null: none. */
export function serviceByHost(
  host: string,
  { clusters, trustDomain }: { clusters: { has(service: string): boolean }; trustDomain: string },
): string | null {
  if (clusters.has(host)) return host;
  const dot = host.indexOf('.');
  if (dot < 0) return null;
  const suffix = host.slice(dot + 1);
  if (suffix !== 'localhost' && suffix !== 'mesh' && suffix !== trustDomain) return null;
  const name = host.slice(0, dot);
  return clusters.has(name) ? name : null;
}

/** What a reverse proxy tells the application about the client (de facto, as Envoy and nginx). */
export function appendForwarded(request: RequestHead, address: string, scheme: 'http' | 'https'): void {
  const headers = request.headers;
  const before = header(headers, 'x-forwarded-for');
  setHeader(headers, 'x-forwarded-for', before === undefined ? address : `${before}, ${address}`);
  setHeader(headers, 'x-forwarded-proto', scheme);
  if (request.authority !== '') setHeader(headers, 'x-forwarded-host', request.authority);
}

type Timeouts = ResolvedRoute['timeouts'];

/**
 * Milliseconds for the whole request; 0: no limit. Of the service's route and the gateway's both hold, so the shorter does.
 * @param outer of the gateway's route, where the service's own route decided after it
 */
export function requestTimeoutMs({ requestMs }: Timeouts, outer: Timeouts | undefined): number {
  if (outer === undefined || outer.requestMs === 0) return requestMs;
  return requestMs > 0 && requestMs < outer.requestMs ? requestMs : outer.requestMs;
}

/** Longest silence in milliseconds; 0: no limit. The gateway's route knows its clients better. */
export function idleTimeoutMs({ idleMs }: Timeouts, outer: Timeouts | undefined): number {
  return outer === undefined || outer.idleMs === 0 ? idleMs : outer.idleMs;
}

/** The authority of a service outside the mesh, without the port where that is the scheme's own. */
export function externalAuthority(spec: ClusterSpec): string {
  const port = spec.endpoints[0]?.port ?? 0;
  return port === 0 || port === (spec.tls ? 443 : 80) ? spec.host! : `${spec.host}:${port}`;
}
