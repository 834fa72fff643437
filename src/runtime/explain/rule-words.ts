import type { Difference, RuleDecision, TableDecision } from '../../model/explanation.ts';
import type { Match, ValueMatch } from '../../model/resolved.ts';
import { quote } from '../../model/show.ts';
import type { RequestHead } from '../../proxy/message.ts';
import type { Mismatch } from '../../proxy/mismatch.ts';
import type { Visit } from '../../proxy/route-walk.ts';
import type { RuleVerdict } from '../../proxy/rule-verdicts.ts';
import { describeMatch } from '../status-views.ts';

/** Rules told of one table: those that came nearest to taking the request. More would fill a screen and a message. */
const MOST_EARLIER = 100;

export interface RuleContext {
  request: RequestHead;
  /** False: what was said about headers is inferred. */
  headersKnown: boolean;
  /** `file:line` of a place in the configuration, or empty. */
  locate: (path: string) => string;
}

/** What one table decided, in words. */
export function tableDecision(visit: Visit, context: RuleContext): TableDecision {
  const { table, verdicts, taken } = visit;
  const end = taken === null ? verdicts.length : verdicts.indexOf(taken);
  const before = verdicts.slice(0, end).map((verdict, at) => ruleDecision(verdict, at, context));
  const earlier = nearest(before);
  return {
    table: table.service,
    rules: verdicts.length,
    earlier,
    omitted: before.length - earlier.length,
    taken: taken === null ? null : { ...ruleDecision(taken, end, context), differences: [] },
  };
}

/** Of many the ones with the fewest differences, still in the order in which they were tried. */
function nearest(rules: readonly RuleDecision[]): RuleDecision[] {
  if (rules.length <= MOST_EARLIER) return [...rules];
  const kept = [...rules].sort((a, b) => a.differences.length - b.differences.length).slice(0, MOST_EARLIER);
  return kept.sort((a, b) => a.position - b.position);
}

function ruleDecision(verdict: RuleVerdict, at: number, context: RuleContext): RuleDecision {
  const { spec } = verdict.route;
  return {
    position: at + 1,
    route: spec.name,
    source: context.locate(spec.path),
    match: describeMatch(spec.matches[verdict.matchIndex]),
    differences: differences(verdict, context),
  };
}

/** Whether a rule cannot have taken the request, whatever its headers were. */
export const certainlyDiffers = ({ hostAgrees, mismatches }: RuleVerdict): boolean =>
  !hostAgrees || mismatches.some(({ part }) => part !== 'header');

function differences(verdict: RuleVerdict, { request, headersKnown }: RuleContext): Difference[] {
  const { route, matchIndex, hostAgrees, mismatches } = verdict;
  const match = route.spec.matches[matchIndex];
  const found: Difference[] = hostAgrees ? [] : [hostDifference(route.spec.hosts, request.authority)];
  for (const mismatch of mismatches) {
    if (headersKnown || mismatch.part !== 'header') found.push(difference(match, mismatch));
  }
  if (headersKnown || found.length > 0) return found;
  return match.headers.map(({ name, match: value }) => ({
    part: 'header',
    name,
    wanted: wantedValue(value),
    found: null,
    certain: false,
    text:
      match.headers.length === 1
        ? `header ${name} was something other than: ${wantedValue(value)}`
        : `it asks for header ${name}: ${wantedValue(value)}; one of its headers did not agree`,
  }));
}

function hostDifference(hosts: readonly string[], authority: string): Difference {
  const wanted = hosts.join(' or ');
  const text = authority === '' ? `the request names no host, wanted ${wanted}` : `host ${authority} is not ${wanted}`;
  return { part: 'host', name: '', wanted, found: authority, certain: true, text };
}

function difference(match: Match, { part, index, found }: Mismatch): Difference {
  if (part === 'path') return pathDifference(match.path!, found ?? '');
  if (part === 'method') {
    const wanted = match.methods.join(' or ');
    return { part, name: '', wanted, found, certain: true, text: `method is ${found}, not ${wanted}` };
  }
  const { name, match: value } = (part === 'header' ? match.headers : match.query)[index];
  const wanted = wantedValue(value);
  const what = part === 'header' ? `header ${name}` : `query parameter ${name}`;
  const is = found === null ? 'is absent' : `is ${quote(found)}`;
  return { part, name, wanted, found, certain: true, text: `${what} ${is}, wanted ${wanted}` };
}

function pathDifference({ kind, value }: NonNullable<Match['path']>, path: string): Difference {
  const shown = path === '' ? 'of the request is empty' : `${cut(path)}`;
  const words = { exact: 'is not', prefix: 'is not under', regex: 'does not match' } as const;
  const text = `path ${shown}${path === '' ? ', wanted' : ` ${words[kind]}`} ${value}`;
  return { part: 'path', name: '', wanted: `${kind} ${value}`, found: path, certain: true, text };
}

function wantedValue(value: ValueMatch): string {
  switch (value.kind) {
    case 'exact':
      return quote(value.value);
    case 'prefix':
      return `${quote(value.value)} at its beginning`;
    case 'regex':
      return `a match of ${value.value}`;
    case 'present':
      return value.value ? 'any value' : 'none';
  }
}

const cut = (text: string): string => (text.length > 120 ? `${text.slice(0, 120)}...` : text);
