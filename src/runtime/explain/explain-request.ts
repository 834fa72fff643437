import type { MeshConfig } from '../../model/config.ts';
import { problem } from '../../model/errors.ts';
import type {
  ExplainQuery,
  Explanation,
  IdentityDecision,
  ReplyDecision,
  TlsDecision,
} from '../../model/explanation.ts';
import type { Backend } from '../../model/resolved.ts';
import { fail, ok, type Result } from '../../model/result.ts';
import type { Cluster, Listener, Snapshot } from '../../model/snapshot.ts';
import type { MeshStatus } from '../../model/status.ts';
import type { ClusterQuery } from '../../proxy/channel.ts';
import type { ClusterView } from '../../proxy/cluster/cluster-view.ts';
import { externalAuthority } from '../../proxy/decisions.ts';
import { compileRouteTable, type RouteTable } from '../../proxy/route-table.ts';
import { LIKELIEST, type Visit, type Walk, type WalkChoice, walkRoutes } from '../../proxy/route-walk.ts';
import type { LoadedConfig } from '../config/config-loader.ts';
import type { Publisher } from '../snapshot/publisher.ts';
import type { KeptRequest } from '../tracing/kept-request.ts';
import type { Tracing } from '../tracing/tracing.ts';
import { anyEligible, type EndpointFacts, endpointsDecision, percent } from './endpoint-decision.ts';
import { filterDecisions } from './filter-words.ts';
import { outcomeFacts } from './outcome-facts.ts';
import { certainlyDiffers, tableDecision } from './rule-words.ts';
import { type Subject, subjectOfKept, subjectOfQuery } from './subject.ts';
import { retryDecision, timeoutDecisions } from './timing-decisions.ts';

/** What an explanation is made from, all of it as it is now. */
export interface ExplainSources {
  snapshot: Snapshot;
  /** What the file says, validated. */
  config: MeshConfig;
  /** `file:line` of a place in the configuration, or empty. */
  locate: (path: string) => string;
  loadedAt: Date;
  status: MeshStatus;
  /** From the data plane of a workload; null: it did not answer. */
  view: (workload: string, query: ClusterQuery) => Promise<ClusterView | null>;
  /** From the trace store. */
  kept: (id: string) => Promise<Result<KeptRequest>>;
}

/** Of a running mesh. */
export function explainSources(mesh: {
  loaded: LoadedConfig;
  loadedAt: Date;
  status: MeshStatus;
  publisher: Publisher;
  tracing: Tracing;
}): ExplainSources | null {
  const { loaded, loadedAt, status, publisher, tracing } = mesh;
  const { snapshot } = publisher;
  if (snapshot === null) return null;
  return {
    snapshot,
    config: loaded.raw as MeshConfig,
    locate(path) {
      const at = loaded.sources.locate(path);
      return at === undefined ? '' : `${at.file}:${at.line}`;
    },
    loadedAt,
    status,
    view: (workload, query) => publisher.view(workload, query),
    kept: (id) => tracing.request(id),
  };
}

/** Why a request goes, or went, where it does. Nothing is sent. @param sources null: no configuration is in force yet */
export async function explainRequest(
  query: ExplainQuery,
  sources: ExplainSources | null,
): Promise<Result<Explanation>> {
  if (sources === null)
    return fail(
      problem('MESH-R101', { message: 'the mesh is still starting', hint: 'try again in a moment, or `mesh wait`' }),
    );
  if (query.id === '') {
    const subject = subjectOfQuery(query, sources.snapshot, sources.status);
    if (!subject.ok) return subject;
    const explanation = await explain(subject.value, sources);
    if (
      query.from === 'gateway' &&
      query.to !== '' &&
      explanation.backend !== null &&
      explanation.backend.service !== query.to
    )
      explanation.notes.push(`the gateway sends this to ${explanation.backend.service}, not to ${query.to}`);
    return ok(explanation);
  }
  const kept = await sources.kept(query.id);
  return kept.ok ? ok(await explain(subjectOfKept(kept.value, query, sources.snapshot), sources)) : kept;
}

async function explain(subject: Subject, sources: ExplainSources): Promise<Explanation> {
  const { snapshot, status, locate } = sources;
  const { request, name, listener, head, kept } = subject;
  const notes = [...subject.notes];
  const span = kept === null ? null : (kept.caller ?? kept.called);
  const reloadedSince = span !== null && span.startMs < sources.loadedAt.getTime();
  if (reloadedSince) notes.push('the configuration was reloaded since: this is how it decides now');

  const start = {
    kind: request.from === 'gateway' ? ('gateway' as const) : ('service' as const),
    service: name.service ?? '',
    scheme: listener?.tls === true ? ('https' as const) : ('http' as const),
    remoteAddress: kept?.caller?.clientAddress || '127.0.0.1',
  };
  const choice = kept === null ? LIKELIEST : choiceOf(kept, snapshot, request.headersKnown, notes);
  const walk = await walkRoutes(tablesOf(snapshot), start, head, choice);
  const { backend } = walk;
  const cluster = backend === null ? null : (snapshot.clusters[backend.service] ?? null);

  let facts: EndpointFacts | null = null;
  if (backend !== null && cluster !== null) {
    const source = start.kind === 'gateway' ? start.remoteAddress : request.instance;
    const asked: ClusterQuery = { service: backend.service, subset: backend.subset, headers: head.headers, source };
    facts = {
      cluster,
      backend,
      backends: walk.visits.at(-1)!.taken!.route.backends.all,
      view: await sources.view(request.instance, asked),
      caller: kept?.caller ?? null,
      reasonOf: (instance) => reasonOf(status, instance),
    };
    if (facts.view === null)
      notes.push('the data plane did not answer: endpoints are shown as the control plane knows them');
    else if (kept !== null) notes.push('states of endpoints are those of now');
  }

  if (cluster !== null && cluster.spiffeId === null && cluster.host !== null)
    notes.push(`the service outside is asked as Host: ${externalAuthority(cluster)}`);

  const reply = kept === null ? replyOf(subject, walk, facts, notes) : null;
  const context = { request: head, headersKnown: request.headersKnown, locate };
  const tables = walk.visits.map((visit) => tableDecision(visit, context));
  const inferred = tables.some(({ earlier }) =>
    earlier.some(({ differences }) => differences.some(({ certain }) => !certain)),
  );
  if (inferred) notes.push('headers of requests that happened are not kept: what depends on them is inferred');
  return {
    version: 1,
    kind: kept === null ? 'might-happen' : 'happened',
    config: { version: snapshot.version, loadedAt: sources.loadedAt.toISOString(), reloadedSince },
    request: { ...request, to: backend?.service ?? request.to },
    name,
    listener: listener === null ? null : listenerDecision(listener),
    tables,
    backend: backend === null ? null : backendDecision(walk.visits.at(-1)!, backend, kept !== null),
    endpoints: facts === null ? null : endpointsDecision(facts),
    identity: cluster === null ? null : identityDecision(subject, cluster, snapshot),
    policy: { authorization: authorizationWords(cluster, snapshot), filters: filterDecisions(walk.visits) },
    tls: cluster === null ? null : tlsDecision(cluster),
    timeouts: cluster === null ? [] : timeoutDecisions(walk, cluster, request.protocol, sources),
    retries: cluster === null ? null : retryDecision(walk, sources),
    reply,
    outcome: kept === null ? null : outcomeFacts(kept),
    notes,
  };
}

/** Only the tables that are asked for are compiled. */
function tablesOf(snapshot: Snapshot): { get(service: string): RouteTable | undefined } {
  return {
    get(service) {
      const resource = Object.hasOwn(snapshot.routes, service) ? snapshot.routes[service] : undefined;
      return resource === undefined ? undefined : compileRouteTable(resource);
    },
  };
}

/** Decides as it was decided then. */
function choiceOf(kept: KeptRequest, snapshot: Snapshot, headersKnown: boolean, notes: string[]): WalkChoice {
  const { caller, called } = kept;
  const endpoint = caller?.endpoint || called?.instance || '';
  const service = caller?.other ?? called!.service;
  const subset = snapshot.clusters[service]?.endpoints.find(({ id }) => id === endpoint)?.subset ?? null;
  return {
    rule(table, verdicts) {
      const wanted = table.service === 'gateway' ? caller?.gatewayRoute || caller?.route : caller?.route;
      // Without a caller's part nobody knows; without a route there was none.
      if (wanted === undefined) return LIKELIEST.rule(table, verdicts);
      if (wanted === '') return null;
      // The gateway's route stands where the service had none.
      if (table.service !== 'gateway' && caller?.flags === 'NR' && caller.other === '') return null;
      const named = verdicts.filter(({ route }) => route.name === wanted);
      const taken = named.find(
        (verdict) => !certainlyDiffers(verdict) && (!headersKnown || verdict.mismatches.length === 0),
      );
      if (taken !== undefined) return taken;
      notes.push(`route ${wanted} of ${table.service} took it, which would not take it now`);
      return named[0] ?? LIKELIEST.rule(table, verdicts);
    },
    backend(route, weighted) {
      const taken = weighted.find(
        (backend) => backend.service === service && (backend.subset === null || backend.subset === subset),
      );
      if (taken !== undefined) return taken;
      if (endpoint !== '') notes.push(`${endpoint} is gone, so which backend it was of is not known`);
      return LIKELIEST.backend(route, weighted);
    },
  };
}

function reasonOf(status: MeshStatus, instance: string): string {
  for (const { instances } of status.services) {
    const found = instances.find(({ id }) => id === instance);
    if (found !== undefined) return found.reason;
  }
  return '';
}

const listenerDecision = ({ name, kind, workload, port, tls }: Listener) => ({ name, kind, workload, port, tls });

function backendDecision({ taken }: Visit, backend: Backend, happened: boolean) {
  const { all } = taken!.route.backends;
  const total = all.reduce((sum, { weight }) => sum + weight, 0);
  const weighted = all.filter(({ weight }) => weight > 0).length;
  const share = percent(backend.weight / total);
  return {
    service: backend.service,
    subset: backend.subset,
    why:
      weighted === 1
        ? 'the only one of the route'
        : happened
          ? `drawn by weight: ${share} of the requests`
          : `drawn by weight: ${share} of the requests, the likeliest`,
    candidates: all.map(({ service, subset, weight }) => ({ service, subset, weight, share: weight / total })),
  };
}

function identityDecision({ request, listener }: Subject, cluster: Cluster, snapshot: Snapshot): IdentityDecision {
  if (cluster.spiffeId === null) return { presented: null, validUntil: null, expected: null };
  const presented = listener?.identity ?? snapshot.clusters[request.from]?.spiffeId ?? null;
  const identity = presented === null ? undefined : snapshot.identities[presented];
  return {
    presented,
    validUntil: identity === undefined ? null : new Date(identity.notAfter).toISOString(),
    expected: cluster.spiffeId,
  };
}

function authorizationWords(cluster: Cluster | null, { mesh }: Snapshot): string {
  if (cluster !== null && cluster.spiffeId === null) return 'none: it is up to the service outside';
  return `no policies: every service of ${mesh.trustDomain} may call, and is known by its certificate`;
}

function tlsDecision(cluster: Cluster): TlsDecision {
  if (cluster.spiffeId !== null) {
    const text = 'mutual TLS between the two proxies, over HTTP/2; plain from each of them to its own process';
    return { mode: 'mesh', serverName: cluster.service, text };
  }
  if (!cluster.tls) return { mode: 'none', serverName: '', text: 'plain to the service outside, as its URL says' };
  const text = 'TLS to the service outside, whose certificate has to be valid for its host name';
  return { mode: 'external', serverName: cluster.host ?? '', text };
}

/** What a proxy would answer itself, by the same rules as the connection manager and the router. */
function replyOf(
  { name, request }: Subject,
  walk: Walk,
  facts: EndpointFacts | null,
  notes: string[],
): ReplyDecision | null {
  if (walk.reply !== null) return { status: walk.reply.status, flag: '', text: 'a filter of the route answers' };
  const last = walk.visits.at(-1);
  const what = request.protocol === 'tcp' ? 'the connection is reset' : '';
  const say = (status: number, flag: string, text: string): ReplyDecision => ({
    status,
    flag,
    text: what === '' ? text : `${text}: ${what}`,
  });
  if (last === undefined) return say(404, 'NC', `${name.name} names no service of the mesh`);
  if (last.taken === null) return say(404, 'NR', `no route of ${last.table.service} takes it`);
  if (walk.backend === null) return say(500, 'NR', `route ${last.taken.route.name} has no backend with a weight`);
  if (facts === null) return say(503, 'NC', `${walk.backend.service} is not running in this mesh`);
  if (anyEligible(facts)) return null;
  const { cluster, view, backend } = facts;
  const { timeoutMs } = cluster.parking;
  const which = backend.subset === null ? cluster.service : `${cluster.service}, subset ${backend.subset}`;
  if (view?.expects === true && timeoutMs > 0) {
    notes.push(
      `an instance of ${which} is on its way: the request waits for it, at most ${timeoutMs} ms, and then gets 503 (UH)`,
    );
    return null;
  }
  return say(503, 'UH', `no endpoint of ${which} can take it`);
}
