import { deepEqual } from './deep-equal.ts';

export type Put<T extends object> = (key: string, value: T) => void;

/** `previous` itself where `next` says the same. */
export function shared<T>(previous: T | undefined, next: T): T {
  return previous !== undefined && deepEqual(previous, next) ? previous : next;
}

/** A record of shared values; itself shared if nothing in it changed. */
export function sharedRecord<T extends object>(
  previous: Record<string, T> | undefined,
  fill: (put: Put<T>) => void,
): Record<string, T> {
  if (previous === undefined) {
    const record: Record<string, T> = {};
    fill((key, value) => {
      record[key] = value;
    });
    return record;
  }
  const record: Record<string, T> = {};
  let size = 0;
  let same = true;
  fill((key, value) => {
    const before = previous[key];
    const kept = before !== undefined && (before === value || deepEqual(before, value)) ? before : value;
    if (kept !== before) same = false;
    record[key] = kept;
    size++;
  });
  return same && size === Object.keys(previous).length ? previous : record;
}

/** Whether two records hold the very same values. */
export function sameValues(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean {
  let keys = 0;
  for (const key in b) {
    if (a[key] !== b[key]) return false;
    keys++;
  }
  for (const _ in a) keys--;
  return keys === 0;
}
