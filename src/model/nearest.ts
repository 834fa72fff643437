/** Edits (Levenshtein, and a swap of neighbours counts as one) from `a` to `b`; `limit + 1` where there are more. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      let cost = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, beforeLast[j - 2] + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return Math.min(last[b.length], limit + 1);
}

/** Case, `-` and `_` are what people mix up most: `depends_on` is `dependsOn`. */
const spelling = (word: string): string => word.toLowerCase().replaceAll(/[-_]/g, '');

/** The candidate that was probably meant by `word`, or undefined where none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = spelling(word);
  // A third of a word may be wrong, but never most of a short one.
  let best = Math.min(3, Math.ceil(wanted.length / 3)) + 1;
  let found: string | undefined;
  for (const candidate of candidates) {
    const distance = editDistance(wanted, spelling(candidate), best - 1);
    if (distance < best) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

/** `did you mean 'orders'? ` where there is a near candidate, then what there is: for hints. */
export function suggest(word: string, candidates: readonly string[], none: string): string {
  if (candidates.length === 0) return none;
  const near = nearest(word, candidates);
  const shown =
    candidates.slice(0, 12).join(', ') + (candidates.length > 12 ? `, and ${candidates.length - 12} more` : '');
  return near === undefined ? `there is: ${shown}` : `did you mean '${near}'? There is: ${shown}`;
}
