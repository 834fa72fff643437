import { median } from '../support/mesh.ts';
import { QUICK } from '../support/quick.ts';
import type { Figure } from '../support/report.ts';
import type { Sample } from './load.ts';

export const ROUNDS = QUICK ? 1 : 5;
/** Of one measurement. */
export const SECONDS = QUICK ? 1 : 3;

/**
 * Measures each subject once in every round. The order turns from round to round, so that none always comes first or
 * after the same one. The first turn only warms up.
 */
export async function alternate<S, T>(
  subjects: readonly S[],
  measure: (subject: S, seconds: number) => Promise<T>,
): Promise<Map<S, T[]>> {
  const results = new Map<S, T[]>(subjects.map((subject) => [subject, []]));
  for (const subject of subjects) await measure(subject, 1);
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < subjects.length; i++) {
      const subject = subjects[(i + round) % subjects.length];
      results.get(subject)!.push(await measure(subject, SECONDS));
    }
  }
  return results;
}

/** Median, and in brackets the least and the most of the rounds. */
export function spread(values: readonly number[], format: (value: number) => string): string {
  if (values.some(Number.isNaN)) return 'not measured';
  const text = format(median(values));
  return values.length === 1 ? text : `${text} (${format(Math.min(...values))} to ${format(Math.max(...values))})`;
}

export const ratio = (value: number): string => `${value.toFixed(2)}x`;
export const whole =
  (unit: string) =>
  (value: number): string =>
    `${Math.round(value).toLocaleString('en')} ${unit}`;

/** Round by round. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.map((value, i) => value / theirs[i]);
}

/** What went wrong in all rounds; empty if nothing did. */
export function errorsOf(samples: readonly { errors: readonly string[] }[]): string {
  const errors = samples.flatMap((sample) => sample.errors);
  return errors.length === 0 ? '' : `, ERRORS: ${[...new Set(errors)].slice(0, 3).join('; ')}`;
}

export interface Comparison<S> {
  what: string;
  unit: (value: number) => string;
  value: (sample: Sample) => number;
  ours: S;
  nameOf: (subject: S) => string;
  /** Least ratio by name of the other; those without one are shown all the same. */
  goals: Readonly<Record<string, number>>;
  /** Names of those that are not installed. */
  missing: readonly string[];
}

/** Our own figure, then ours against each of the others'. */
export function compare<S>(c: Comparison<S>, results: ReadonlyMap<S, Sample[]>): Figure[] {
  const mine = results.get(c.ours)!;
  const values = mine.map(c.value);
  const failed = errorsOf(mine);
  const busy = median(mine.map((sample) => sample.busy));
  const load = Number.isNaN(busy) ? '' : `, proxy ${Math.round(busy * 100)} % busy`;
  const figures: Figure[] = [
    { what: c.what, value: spread(values, c.unit) + load + failed, goal: '', met: failed === '' ? null : false },
  ];
  for (const [subject, samples] of results) {
    if (subject === c.ours) continue;
    const name = c.nameOf(subject);
    const theirs = samples.map(c.value);
    const compared = ratios(values, theirs);
    const least = c.goals[name];
    figures.push({
      what: `${c.what}: against ${name}`,
      value: `${spread(compared, ratio)}; it: ${spread(theirs, c.unit)}${errorsOf(samples)}`,
      goal: least === undefined ? '' : `at least ${least.toFixed(1)}x`,
      met: least === undefined || compared.some(Number.isNaN) ? null : failed === '' && median(compared) >= least,
    });
  }
  figures.push(...c.missing.map((name) => skipped(`${c.what}: against ${name}`, name)));
  return figures;
}

export function skipped(what: string, program: string): Figure {
  return { what, value: `skipped: no ${program}`, goal: '', met: null };
}
