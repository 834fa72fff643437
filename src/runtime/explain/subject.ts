import { problem } from '../../model/errors.ts';
import type { ExplainedRequest, ExplainQuery, NameDecision } from '../../model/explanation.ts';
import { suggest } from '../../model/nearest.ts';
import type { ProxySpan } from '../../model/proxy-span.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import type { Listener, Snapshot } from '../../model/snapshot.ts';
import type { MeshStatus } from '../../model/status.ts';
import { hostKey, portOf } from '../../proxy/authority.ts';
import { serviceByHost, XFCC } from '../../proxy/decisions.ts';
import { isGrpcContentType } from '../../proxy/grpc-status.ts';
import { wireText } from '../../proxy/matcher.ts';
import { deleteHeader, header, type RequestHead } from '../../proxy/message.ts';
import { plain } from '../telemetry/event-text.ts';
import type { KeptRequest } from '../tracing/kept-request.ts';

/** A request to be explained, put in the form in which the tables see it. */
export interface Subject {
  request: ExplainedRequest;
  name: NameDecision;
  /** Null: the caller has none now. */
  listener: Listener | null;
  head: RequestHead;
  notes: string[];
  /** Null: it might happen. */
  kept: KeptRequest | null;
}

const GATEWAY = 'gateway';
/** Codecs take these off before a route sees the request (RFC 9110, section 7.6.1). */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'],
]);

/** @returns MESH-U102 or MESH-U103 for what cannot be a request, MESH-X105 for a service that takes none */
export function subjectOfQuery(query: ExplainQuery, snapshot: Snapshot, status: MeshStatus): Result<Subject> {
  const notes: string[] = [];
  const from = callerOf(query.from, snapshot, status);
  if (!from.ok) return from;
  const { service: source, instance } = from.value;
  const headers = query.headers.flatMap(([name, value]) => [name.toLowerCase(), wireText(value)]);
  const host = query.authority || header(headers, 'host') || '';
  for (const name of ['host', XFCC, ...HOP_BY_HOP]) deleteHeader(headers, name);

  if (source === GATEWAY) {
    const listener = snapshot.listeners['gateway/http'] ?? snapshot.listeners['gateway/https'] ?? null;
    const authority = host || `localhost:${listener?.port ?? 80}`;
    const method = query.method || 'GET';
    const head = requestHead({ method, authority, path: query.path || '/', headers });
    const text = 'routes of the gateway decide by host and path';
    const name: NameDecision = { name: authority, service: null, by: 'gateway', text };
    const request = explained(head, { from: GATEWAY, instance: GATEWAY, to: '', protocol: protocolOf(head, 'http') });
    return ok({ request, name, listener, head, notes, kept: null });
  }

  const target = targetOf(query.to, snapshot, status);
  if (!target.ok) return target;
  const { service, byHost } = target.value;
  const dependency = byHost ? undefined : snapshot.listeners[`${instance}/to/${service}`];
  const listener = dependency ?? snapshot.listeners[`${instance}/outbound`] ?? null;
  if (listener === null) notes.push(`${source} has no instance, so it has no listener now: \`mesh start ${source}\``);
  else if (dependency === undefined && !byHost) {
    notes.push(
      `${source} does not declare ${service} in dependsOn, so it is told no URL; it reaches it as Host: ${service} on its outbound port`,
    );
  }
  const declared = snapshot.clusters[service]?.protocol ?? 'http';
  const tcp = declared === 'tcp';
  if (tcp && (query.path !== '' || query.headers.length > 0 || query.method !== ''))
    notes.push(
      `${service} speaks TCP: the bytes of a connection are not looked at, so there is no path, method or header`,
    );
  const authority = tcp ? service : host || (dependency === undefined ? query.to : `127.0.0.1:${dependency.port}`);
  const method = tcp ? 'CONNECT' : query.method || 'GET';
  const head = requestHead({ method, authority, path: tcp ? '' : query.path || '/', headers: tcp ? [] : headers });
  const protocol = tcp ? 'tcp' : protocolOf(head, declared);
  const request = explained(head, { from: source, instance, to: service, protocol });
  const name = nameDecision(listener, service, dependency === undefined ? authority : service);
  return ok({ request, name, listener, head, notes, kept: null });
}

/** Of a request that is kept. @param query headers that it was sent with, where they are known */
export function subjectOfKept(kept: KeptRequest, query: ExplainQuery, snapshot: Snapshot): Subject {
  const { caller, called } = kept;
  const span = caller ?? called!;
  const notes: string[] = [];
  const from = caller?.service ?? called!.other;
  const instance = caller?.instance ?? '';
  const served = caller === null ? called!.service : caller.other;
  if (caller === null)
    notes.push("only the called side's part is kept: the caller has no proxy, or its part was not sampled");
  const headers = query.headersKnown
    ? query.headers.flatMap(([name, value]) => [name.toLowerCase(), wireText(value)])
    : [];
  for (const name of ['host', XFCC, ...HOP_BY_HOP]) deleteHeader(headers, name);
  if (span.protocol === 'grpc' && header(headers, 'content-type') === undefined)
    headers.push('content-type', 'application/grpc');
  const { method, authority, path } = span;
  const head = requestHead({ method, authority, path, headers });
  const listener = caller === null ? null : listenerOf(snapshot, caller);
  const named = listener?.destination ?? serviceByHost(hostKey(authority), mesh(snapshot)) ?? served;
  const service = caller === null ? served : named;
  const name: NameDecision =
    from === GATEWAY
      ? { name: authority, service: null, by: 'gateway', text: 'routes of the gateway decided by host and path' }
      : nameDecision(listener, service, listener?.destination ?? authority);
  const { protocol } = span;
  const request = { ...explained(head, { from, instance, to: served, protocol }), headersKnown: query.headersKnown };
  if (caller !== null && listener === null) notes.push(`${instance} has no such listener now`);
  return { request, name, listener, head, notes, kept };
}

const mesh = ({ clusters, mesh: { trustDomain } }: Snapshot) => ({
  clusters: { has: (service: string) => Object.hasOwn(clusters, service) },
  trustDomain,
});

/** The listener that a request came in by, as far as its authority tells. */
function listenerOf(snapshot: Snapshot, { instance, scheme, authority, other, protocol }: ProxySpan): Listener | null {
  if (instance === GATEWAY) return snapshot.listeners[`gateway/${scheme}`] ?? null;
  const own = Object.values(snapshot.listeners).filter(
    ({ workload, kind }) => workload === instance && kind !== 'inbound',
  );
  const port = portOf(authority);
  const byPort = own.find((listener) => port !== 0 && listener.port === port);
  if (byPort !== undefined) return byPort;
  const outbound = own.find(({ kind }) => kind === 'outbound') ?? null;
  const dependency = own.find(({ destination }) => destination === other);
  // A raw connection to a service's port has the service's bare name; anything else that names one came by the outbound port.
  const named = serviceByHost(hostKey(authority), mesh(snapshot)) !== null;
  const raw = protocol === 'tcp' && authority === other;
  return named && !raw ? outbound : (dependency ?? outbound);
}

function requestHead(part: Pick<RequestHead, 'method' | 'authority' | 'path' | 'headers'>): RequestHead {
  return { ...part, scheme: '', protocol: null, contentLength: 0, expectContinue: false };
}

function explained(
  { method, authority, path, headers }: RequestHead,
  part: Pick<ExplainedRequest, 'from' | 'instance' | 'to' | 'protocol'>,
): ExplainedRequest {
  const pairs: [string, string][] = [];
  for (let i = 0; i < headers.length; i += 2) pairs.push([headers[i], headers[i + 1]]);
  return { ...part, method, authority, path, headers: pairs, headersKnown: true };
}

function protocolOf({ headers }: RequestHead, declared: string): ExplainedRequest['protocol'] {
  if (isGrpcContentType(header(headers, 'content-type'))) return 'grpc';
  return declared === 'http2' ? 'http2' : 'http';
}

function nameDecision(listener: Listener | null, service: string, name: string): NameDecision {
  if (service === '') {
    return {
      name,
      service: null,
      by: 'outside',
      text: `${name} is no service of the mesh: passed on as an HTTP proxy does`,
    };
  }
  if (listener?.kind === 'dependency') {
    const text = `port ${listener.port} of ${listener.workload} stands for ${service}`;
    return { name, service, by: 'port', text };
  }
  const how = hostKey(name) === service ? 'is the name of a service' : `stands for the service ${service}`;
  return { name, service, by: 'host', text: `${name} ${how}` };
}

const usage = (message: string, hint: string) => fail(problem('MESH-U102', { message, hint }));

function callerOf(from: string, snapshot: Snapshot, status: MeshStatus): Result<{ service: string; instance: string }> {
  if (from === GATEWAY) {
    if (Object.hasOwn(snapshot.routes, GATEWAY)) return ok({ service: GATEWAY, instance: GATEWAY });
    return usage('this mesh has no gateway', 'add `gateway` to mesh.config.ts, or say a service with --from');
  }
  const owner = status.services.find(({ name, instances }) => name === from || instances.some(({ id }) => id === from));
  if (owner === undefined) return fail(unknown(from, [...status.services.map(({ name }) => name), GATEWAY]));
  if (owner.external)
    return usage(`${from} is external: it sends nothing through the mesh`, 'say a service of the mesh with --from');
  if (owner.name !== from) return ok({ service: owner.name, instance: from });
  const ready = owner.instances.find(({ state }) => state === 'ready') ?? owner.instances[0];
  return ok({ service: owner.name, instance: ready?.id ?? '' });
}

/** @returns whether it was named by one of the mesh's host names rather than by the service's own */
function targetOf(to: string, snapshot: Snapshot, status: MeshStatus): Result<{ service: string; byHost: boolean }> {
  if (to === GATEWAY) return usage('no request in the mesh is sent to the gateway', 'did you mean `--from gateway`?');
  const known = status.services.find(({ name }) => name === to);
  if (known?.task === true) return fail(problem('MESH-X105', { message: `${to} is a task and takes no requests` }));
  if (known !== undefined) return ok({ service: to, byHost: false });
  const service = serviceByHost(hostKey(to), mesh(snapshot));
  if (service !== null) return ok({ service, byHost: true });
  return fail(
    unknown(
      to,
      status.services.map(({ name }) => name),
    ),
  );
}

function unknown(name: string, known: readonly string[]): Problem {
  const shown = name.length > 60 ? `${name.slice(0, 60)}...` : name;
  const hint = suggest(name, known, 'there is none at all');
  return problem('MESH-U103', { message: `there is no service \`${plain(shown)}\``, hint });
}
