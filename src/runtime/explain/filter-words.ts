import type { PolicyDecision } from '../../model/explanation.ts';
import type { HeaderChanges } from '../../model/resolved.ts';
import { quote } from '../../model/show.ts';
import type { FilterRun, FilterView, Visit } from '../../proxy/route-walk.ts';

type FilterDecision = PolicyDecision['filters'][number];

/** What filters did to the request, in its order, and will do to its response, in that order. */
export function filterDecisions(visits: readonly Visit[]): FilterDecision[] {
  const requests = visits.flatMap(({ table, taken, filters }) =>
    filters.map((run) => ({
      table: table.service,
      route: taken!.route.name,
      filter: run.filter,
      on: 'request' as const,
      changes: requestChanges(run),
    })),
  );
  const responses = [...visits].reverse().flatMap(({ table, taken, filters }) => {
    const headers = taken?.route.spec.filters.responseHeaders ?? null;
    if (headers === null || filters.some(({ reply }) => reply !== null)) return [];
    const { name } = taken!.route;
    return [
      {
        table: table.service,
        route: name,
        filter: 'responseHeaders',
        on: 'response' as const,
        changes: headerWords(headers),
      },
    ];
  });
  return [...requests, ...responses];
}

function requestChanges({ before, after, reply }: FilterRun): string[] {
  const changes: string[] = [];
  if (before.authority !== after.authority) changes.push(`host ${before.authority} becomes ${after.authority}`);
  if (before.path !== after.path) changes.push(`path ${before.path} becomes ${after.path}`);
  changes.push(...headerChanges(before, after));
  if (reply !== null) {
    const at = reply.headers.indexOf('location');
    changes.push(`answers ${reply.status}${at < 0 ? '' : ` with location ${reply.headers[at + 1]}`}`);
  }
  return changes.length === 0 ? ['changes nothing of this request'] : changes;
}

function headerChanges(before: FilterView, after: FilterView): string[] {
  const was = valuesByName(before.headers);
  const is = valuesByName(after.headers);
  const changes: string[] = [];
  for (const [name, values] of is) {
    const old = was.get(name);
    if (old === values) continue;
    changes.push(
      old === undefined
        ? `adds header ${name}: ${values}`
        : `header ${name} becomes ${quote(values)}, was ${quote(old)}`,
    );
  }
  for (const name of was.keys()) if (!is.has(name)) changes.push(`removes header ${name}`);
  return changes;
}

function valuesByName(headers: readonly string[]): Map<string, string> {
  const values = new Map<string, string>();
  for (let i = 0; i < headers.length; i += 2) {
    const before = values.get(headers[i]);
    values.set(headers[i], before === undefined ? headers[i + 1] : `${before}, ${headers[i + 1]}`);
  }
  return values;
}

const headerWords = ({ remove, set, add }: HeaderChanges): string[] => [
  ...remove.map((name) => `removes header ${name}`),
  ...set.map(([name, value]) => `sets header ${name}: ${value}`),
  ...add.map(([name, value]) => `adds header ${name}: ${value}`),
];
