/** One line of a unified diff and what kind it is. */
export interface DiffLine {
  readonly kind: 'file' | 'place' | 'kept' | 'added' | 'removed';
  readonly text: string;
}

const CONTEXT = 3;

/** Unified diff (as `diff -u` writes it) of a file; `before` null: it is new. Empty where nothing changes. */
export function unifiedDiff(name: string, before: string | null, after: string): DiffLine[] {
  if (before === after) return [];
  const old = linesOf(before ?? '');
  const now = linesOf(after);
  const changes = editScript(old, now);
  const lines: DiffLine[] = [
    { kind: 'file', text: `--- ${before === null ? '/dev/null' : `a/${name}`}` },
    { kind: 'file', text: `+++ b/${name}` },
  ];
  for (const hunk of hunksOf(changes)) lines.push(...printHunk(hunk, old, now));
  return lines;
}

const NO_NEWLINE = '\n\\ No newline at end of file';

function linesOf(text: string): string[] {
  if (text === '') return [];
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  else lines[lines.length - 1] += NO_NEWLINE;
  return lines;
}

/** Half-open ranges: old[oldFrom, oldTo) becomes now[newFrom, newTo). */
interface Change {
  oldFrom: number;
  oldTo: number;
  newFrom: number;
  newTo: number;
}

/** Myers, "An O(ND) difference algorithm" (1986), on what is left between a common beginning and end. */
function editScript(old: readonly string[], now: readonly string[]): Change[] {
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start++;
  let oldEnd = old.length;
  let newEnd = now.length;
  while (oldEnd > start && newEnd > start && old[oldEnd - 1] === now[newEnd - 1]) {
    oldEnd--;
    newEnd--;
  }
  const changes: Change[] = [];
  for (const [x, y, isInsertion] of steps(old.slice(start, oldEnd), now.slice(start, newEnd))) {
    const at = { x: x + start, y: y + start };
    const last = changes.at(-1);
    if (last !== undefined && last.oldTo === at.x && last.newTo === at.y) {
      if (isInsertion) last.newTo++;
      else last.oldTo++;
    } else {
      const [oldTo, newTo] = isInsertion ? [at.x, at.y + 1] : [at.x + 1, at.y];
      changes.push({ oldFrom: at.x, oldTo, newFrom: at.y, newTo });
    }
  }
  return changes;
}

/** Single insertions and deletions, in order, each with the place before it. */
function steps(a: readonly string[], b: readonly string[]): [x: number, y: number, isInsertion: boolean][] {
  const most = a.length + b.length;
  const furthest = new Map<number, number>([[1, 0]]);
  const trail: Map<number, number>[] = [];
  for (let d = 0; d <= most; d++) {
    trail.push(new Map(furthest));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && furthest.get(k - 1)! < furthest.get(k + 1)!);
      let x = down ? furthest.get(k + 1)! : furthest.get(k - 1)! + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      furthest.set(k, x);
      if (x >= a.length && x - k >= b.length) return walkBack(trail, a.length, b.length);
    }
  }
  return [];
}

function walkBack(trail: readonly Map<number, number>[], endX: number, endY: number): [number, number, boolean][] {
  const found: [number, number, boolean][] = [];
  let x = endX;
  let y = endY;
  for (let d = trail.length - 1; d > 0; d--) {
    const furthest = trail[d];
    const k = x - y;
    const down = k === -d || (k !== d && furthest.get(k - 1)! < furthest.get(k + 1)!);
    const before = down ? k + 1 : k - 1;
    x = furthest.get(before)!;
    y = x - before;
    found.push([x, y, down]);
  }
  return found.reverse();
}

function hunksOf(changes: readonly Change[]): Change[][] {
  const hunks: Change[][] = [];
  for (const change of changes) {
    const last = hunks.at(-1);
    if (last !== undefined && change.oldFrom - last.at(-1)!.oldTo <= 2 * CONTEXT) last.push(change);
    else hunks.push([change]);
  }
  return hunks;
}

function printHunk(hunk: readonly Change[], old: readonly string[], now: readonly string[]): DiffLine[] {
  const first = hunk[0];
  const last = hunk[hunk.length - 1];
  const before = Math.min(CONTEXT, first.oldFrom);
  const after = Math.min(CONTEXT, old.length - last.oldTo);
  const oldFrom = first.oldFrom - before;
  const oldCount = last.oldTo + after - oldFrom;
  const newFrom = first.newFrom - before;
  const newCount = last.newTo + after - newFrom;
  const place = (from: number, count: number): string =>
    `${count === 0 ? from : from + 1}${count === 1 ? '' : `,${count}`}`;
  const lines: DiffLine[] = [
    { kind: 'place', text: `@@ -${place(oldFrom, oldCount)} +${place(newFrom, newCount)} @@` },
  ];
  let at = oldFrom;
  for (const { oldFrom: from, oldTo, newFrom: nowFrom, newTo } of hunk) {
    for (; at < from; at++) lines.push({ kind: 'kept', text: ` ${old[at]}` });
    for (; at < oldTo; at++) lines.push({ kind: 'removed', text: `-${old[at]}` });
    for (let line = nowFrom; line < newTo; line++) lines.push({ kind: 'added', text: `+${now[line]}` });
  }
  for (const end = at + after; at < end; at++) lines.push({ kind: 'kept', text: ` ${old[at]}` });
  return lines;
}
