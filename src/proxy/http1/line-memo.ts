import type { FieldName } from './field-names.ts';
import { scratch, scratchView } from './scratch.ts';

/**
 * A whole field line seen lately: name as it was spelt, value and CRLF. Clients and servers repeat most of their lines
 * (user-agent, accept, content-type, host), so a line is first compared with what came last under its name, eight
 * bytes a step. That is quicker than scanning it, makes no string, and yields the same string object every time, which
 * spares the HPACK encoder behind it the hash and the compare of a new one. Shared by all connections: idle ones hold
 * nothing.
 */
export interface LineMemo {
  value: string;
  /** First index in `LINES`, and bytes of the line. */
  base: number;
  bytes: number;
}

const MAX_STEPS = 20;
const STEP_BYTES = 8;
const MAX_LINE_BYTES = MAX_STEPS * STEP_BYTES;
/** A name whose values never repeat must cost little: of its misses only one in so many is remembered. */
const MISSES_PER_STORE = 8;

/**
 * The bytes of remembered lines as doubles, since JavaScript compares no other eight bytes at once. Equal doubles are
 * equal bytes but for the two zeros, and a line holds no NUL; bytes that happen to be a NaN only miss.
 */
let LINES = new Float64Array(64 * MAX_STEPS);
let allocated = 0;

/** Whether `scratch` holds the remembered line at `at`. */
export function matchesLine(memo: LineMemo, at: number): boolean {
  const known = LINES;
  let i = memo.base;
  const last = at + memo.bytes - STEP_BYTES;
  // Two steps at once are a fifth quicker than one.
  for (; at + STEP_BYTES < last; at += 2 * STEP_BYTES, i += 2) {
    if (scratchView.getFloat64(at, true) !== known[i]) return false;
    if (scratchView.getFloat64(at + STEP_BYTES, true) !== known[i + 1]) return false;
  }
  if (at < last && scratchView.getFloat64(at, true) !== known[i++]) return false;
  // The last step overlaps the one before, so that no line needs a shorter one.
  return scratchView.getFloat64(last, true) === known[i];
}

/** Considers the line in `scratch` from `start` to `end` (CRLF included) for the memo of its name. */
export function rememberLine(name: FieldName, start: number, end: number, valueStart: number, valueEnd: number): void {
  if (name.secret) return;
  if (name.otherLine !== null) {
    name.misses = (name.misses + 1) % MISSES_PER_STORE;
    if (name.misses !== 0) return;
  }
  const bytes = end - start;
  if (bytes < STEP_BYTES || bytes > MAX_LINE_BYTES) return;
  const memo = name.otherLine ?? newMemo();
  memo.value = scratch.latin1Slice(valueStart, valueEnd);
  memo.bytes = bytes;
  let i = memo.base;
  for (let at = start; at < end - STEP_BYTES; at += STEP_BYTES) LINES[i++] = scratchView.getFloat64(at, true);
  LINES[i] = scratchView.getFloat64(end - STEP_BYTES, true);
  name.otherLine = name.likelyLine;
  name.likelyLine = memo;
}

/** The slot of this name now holds another one: its lines must match no more. Their room is used again. */
export function forgetLines(name: FieldName): void {
  if (name.likelyLine !== null) LINES[name.likelyLine.base] = Number.NaN;
  if (name.otherLine !== null) LINES[name.otherLine.base] = Number.NaN;
}

function newMemo(): LineMemo {
  const base = allocated * MAX_STEPS;
  allocated++;
  if (base + MAX_STEPS > LINES.length) {
    const grown = new Float64Array(2 * LINES.length);
    grown.set(LINES);
    LINES = grown;
  }
  return { value: '', base, bytes: 0 };
}
