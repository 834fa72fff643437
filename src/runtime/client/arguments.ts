/** What the command line says, parsed once: durations to milliseconds, names checked against what there is. */
import { suggest } from '../../model/nearest.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import type { MeshStatus, RouteStatus } from '../../model/status.ts';
import type { LogQuery } from '../control/mesh-control.ts';
import { parseDuration } from './text.ts';

const usage = (message: string, hint: string): Problem => ({ code: 'MESH-U102', message, hint });

/** Milliseconds of a duration flag. */
export function parseLimit(flag: string, text: string): Result<number> {
  const ms = parseDuration(text);
  return ms === null
    ? fail(usage(`\`${text}\` is no duration for ${flag}`, 'durations look like 500ms, 10s, 1m30s, 2h'))
    : ok(ms);
}

/** As far back as the daemon remembers. */
const LONGEST_WINDOW_MS = 600_000;

/** Milliseconds of `--window`. */
export function parseWindow(text: string): Result<number> {
  const parsed = parseLimit('--window', text);
  if (!parsed.ok || (parsed.value >= 1_000 && parsed.value <= LONGEST_WINDOW_MS)) return parsed;
  return fail(usage(`\`${text}\` is no window`, 'from 1s to 10m'));
}

export function parseLogQuery(given: {
  services: string[];
  follow: boolean;
  lines: number | undefined;
  since: string | undefined;
  /** Milliseconds since the epoch. */
  now: number;
}): Result<LogQuery> {
  let sinceMs: number | null = null;
  if (given.since !== undefined) {
    const age = parseDuration(given.since);
    sinceMs = age === null ? Date.parse(given.since) : given.now - age;
    if (Number.isNaN(sinceMs)) {
      return fail(
        usage(`\`${given.since}\` is neither a duration nor a time for --since`, 'try 5m, or 2026-05-01T12:00:00Z'),
      );
    }
  }
  return ok({ services: given.services, tail: given.lines ?? null, sinceMs, follow: given.follow });
}

/** @returns MESH-U103 for the first name that is no service of this mesh. */
export function knownServices(status: MeshStatus, names: readonly string[]): Result<void> {
  const known = status.services.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  return unknown === undefined ? ok(undefined) : fail(unknownName('service', unknown, known));
}

/** In any table. */
export function knownRoute(routes: readonly Pick<RouteStatus, 'name'>[], name: string): Result<void> {
  const known = [...new Set(routes.map((route) => route.name))];
  if (known.includes(name)) return ok(undefined);
  return fail(unknownName('route', name, known));
}

/** The rows that belong to a name given on the command line; all without one. */
export function onlyOf<Row>(rows: readonly Row[], ownerOf: (row: Row) => string, name?: string): Result<Row[]> {
  const chosen = rows.filter((row) => name === undefined || ownerOf(row) === name);
  if (chosen.length > 0 || name === undefined) return ok(chosen);
  return fail(unknownName('entry', name, [...new Set(rows.map(ownerOf))]));
}

function unknownName(what: 'service' | 'route' | 'entry', name: string, known: readonly string[]): Problem {
  const hint = suggest(name, known, 'there is none at all');
  return what !== 'entry'
    ? { code: what === 'service' ? 'MESH-U103' : 'MESH-U102', message: `there is no ${what} \`${name}\``, hint }
    : { code: 'MESH-U102', message: `there is nothing of \`${name}\``, hint };
}

export interface ScaleTarget {
  service: string;
  /** Null: each subset. */
  subset: string | null;
  replicas: number;
}

/** More instances than this on one machine are a typing error. */
const MOST_REPLICAS = 1_000;

/** `orders=3`, `inventory/canary=0` */
export function parseScale(words: readonly string[]): Result<ScaleTarget[]> {
  const hint = 'say SERVICE=N or SERVICE/SUBSET=N, for example `mesh scale orders=3`';
  if (words.length === 0) return fail(usage('nothing to scale', hint));
  const targets: ScaleTarget[] = [];
  for (const word of words) {
    const match = /^([^/=]+)(?:\/([^/=]+))?=(\d{1,6})$/.exec(word);
    if (match === null) return fail(usage(`\`${word}\` does not say what to scale`, hint));
    const replicas = Number(match[3]);
    if (replicas > MOST_REPLICAS) return fail(usage(`${replicas} instances are too many`, `at most ${MOST_REPLICAS}`));
    targets.push({ service: match[1], subset: match[2] ?? null, replicas });
  }
  return ok(targets);
}
