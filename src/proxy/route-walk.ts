import type { Backend } from '../model/resolved.ts';
import { appendForwarded } from './decisions.ts';
import { CONTINUE, type FilterContext, type LocalReply, RESPOND } from './filter-chain.ts';
import type { Headers, RequestHead } from './message.ts';
import type { CompiledRoute, RouteTable } from './route-table.ts';
import { agrees, judgeRules, type RuleVerdict } from './rule-verdicts.ts';

/** Where a request comes in. */
export interface WalkStart {
  readonly kind: 'gateway' | 'service';
  /** Whose routes decide, unless it comes in at the gateway. */
  readonly service: string;
  readonly scheme: 'http' | 'https';
  /** Of the client; known at the gateway. */
  readonly remoteAddress: string;
}

/** Who decides where there is something to decide: what happened, or what is most likely. */
export interface WalkChoice {
  /** The rule that takes the request; by default the first that agrees. */
  rule(table: RouteTable, verdicts: readonly RuleVerdict[]): RuleVerdict | null;
  /** Of several backends with a weight, at least two. */
  backend(route: CompiledRoute, weighted: readonly Backend[]): Backend;
}

/** What a filter made of a request. */
export interface FilterRun {
  readonly filter: string;
  readonly before: FilterView;
  readonly after: FilterView;
  /** It answered itself. */
  readonly reply: LocalReply | null;
}

export interface FilterView {
  readonly authority: string;
  readonly path: string;
  readonly headers: Headers;
}

/** What one table said. */
export interface Visit {
  readonly table: RouteTable;
  /** All of its rules, in the order in which they count. */
  readonly verdicts: readonly RuleVerdict[];
  readonly taken: RuleVerdict | null;
  readonly filters: readonly FilterRun[];
  /** Null: it does not come to that. */
  readonly backend: Backend | null;
}

export interface Walk {
  readonly visits: readonly Visit[];
  /** The request as its last route passes it on. */
  readonly request: RequestHead;
  /** Null: a proxy answers. */
  readonly backend: Backend | null;
  /** The answer of a filter. */
  readonly reply: LocalReply | null;
}

/** The likeliest: the first rule that agrees, and the backend with the largest share. */
export const LIKELIEST: WalkChoice = {
  rule: (_table, verdicts) => verdicts.find(agrees) ?? null,
  backend: (_route, weighted) => weighted.reduce((most, backend) => (backend.weight > most.weight ? backend : most)),
};

/**
 * Takes a request through the tables as the connection manager would, with the tables' and filters' own code, and keeps
 * everything that was decided on the way. Nothing is sent. `request` is changed as filters change it.
 */
export async function walkRoutes(
  tables: { get(service: string): RouteTable | undefined },
  start: WalkStart,
  request: RequestHead,
  choice: WalkChoice = LIKELIEST,
): Promise<Walk> {
  const visits: Visit[] = [];
  let name = start.kind === 'gateway' ? 'gateway' : start.service;
  for (;;) {
    const table = tables.get(name);
    const visit = table === undefined ? null : await visitTable(table, start, request, choice);
    if (visit !== null) visits.push(visit);
    const backend = visit?.backend ?? null;
    const reply = visit?.filters.at(-1)?.reply ?? null;
    // A backend of the gateway without a subset follows its service's own routes.
    const goesOn = name === 'gateway' && backend !== null && backend.subset === null;
    if (!goesOn) return { visits, request, backend, reply };
    name = backend.service;
  }
}

async function visitTable(
  table: RouteTable,
  start: WalkStart,
  request: RequestHead,
  choice: WalkChoice,
): Promise<Visit> {
  const verdicts = judgeRules(table, request);
  const taken = choice.rule(table, verdicts);
  if (taken === null) return { table, verdicts, taken, filters: [], backend: null };
  if (table.service === 'gateway') appendForwarded(request, start.remoteAddress, start.scheme);
  const filters = await runFilters(taken, start, request);
  const weighted = taken.route.backends.all.filter(({ weight }) => weight > 0);
  const answered = filters.some(({ reply }) => reply !== null);
  const backend =
    answered || weighted.length === 0
      ? null
      : weighted.length === 1
        ? weighted[0]
        : choice.backend(taken.route, weighted);
  return { table, verdicts, taken, filters, backend };
}

async function runFilters({ route, matchIndex }: RuleVerdict, start: WalkStart, request: RequestHead) {
  const runs: FilterRun[] = [];
  const context: FilterContext = { request, route, matchIndex, scheme: start.scheme, reply: null };
  for (const filter of route.requestFilters) {
    const before = viewOf(request);
    const verdict = await filter.onRequest(context);
    runs.push({ filter: filter.name, before, after: viewOf(request), reply: context.reply });
    if (verdict === RESPOND) break;
    if (verdict !== CONTINUE) throw new Error(`filter ${filter.name} gave no verdict`);
  }
  return runs;
}

const viewOf = ({ authority, path, headers }: RequestHead): FilterView => ({ authority, path, headers: [...headers] });
