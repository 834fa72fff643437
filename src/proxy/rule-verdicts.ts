import { hostKey } from './authority.ts';
import type { RequestHead } from './message.ts';
import { type Mismatch, mismatches } from './mismatch.ts';
import { type CompiledRoute, entryOf, type RouteTable } from './route-table.ts';

/** What became of one match of one route when a request was held against it. */
export interface RuleVerdict {
  readonly route: CompiledRoute;
  readonly matchIndex: number;
  /** False: it is for other hosts. */
  readonly hostAgrees: boolean;
  /** Empty: all it asks for is there. */
  readonly mismatches: readonly Mismatch[];
}

export const agrees = (verdict: RuleVerdict): boolean => verdict.hostAgrees && verdict.mismatches.length === 0;

/**
 * Every rule of a table with its verdict, in the order in which they count for this request: those for its very host
 * first, then the longer suffixes, then those for all hosts. The first that agrees is what `table.match` finds.
 */
export function judgeRules(table: RouteTable, request: RequestHead): RuleVerdict[] {
  const host = hostKey(request.authority);
  const judged: { verdict: RuleVerdict; rank: number }[] = [];
  for (const route of table.routes) {
    const { agreeing, most } = hostRanks(route.spec.hosts, host);
    for (let matchIndex = 0; matchIndex < route.spec.matches.length; matchIndex++) {
      const entry = entryOf(route, matchIndex, judged.length);
      const verdict = { route, matchIndex, hostAgrees: agreeing >= 0, mismatches: mismatches(entry, request) };
      judged.push({ verdict, rank: agreeing >= 0 ? agreeing : most });
    }
  }
  // Stable: rules for equally specific hosts stay in the order of the table.
  return judged.sort((a, b) => b.rank - a.rank).map(({ verdict }) => verdict);
}

const EXACT = Number.MAX_SAFE_INTEGER;
const ALL_HOSTS = { agreeing: 0, most: 0 };

/** How specific the host pattern is that agrees (negative: none does), and the most specific one of all. */
function hostRanks(patterns: readonly string[], host: string): { agreeing: number; most: number } {
  if (patterns.length === 0) return ALL_HOSTS;
  let agreeing = -1;
  let most = 0;
  for (const pattern of patterns) {
    const key = hostKey(pattern);
    const suffix = key.startsWith('*.') ? key.slice(1) : null;
    const rank = key === '*' ? 0 : (suffix?.length ?? EXACT);
    // The wildcard stands for at least one character.
    const yes = key === '*' || (suffix === null ? key === host : host.length > suffix.length && host.endsWith(suffix));
    if (yes) agreeing = Math.max(agreeing, rank);
    most = Math.max(most, rank);
  }
  return { agreeing, most };
}
