import { FIELD_VALUE } from './characters.ts';
import { type FieldName, lookUpName, matchesName, tokenEnd } from './field-names.ts';
import { matchesLine, rememberLine } from './line-memo.ts';
import {
  fieldKinds,
  fieldNames,
  fieldValues,
  lineFailed,
  lines,
  SCAN_DONE,
  SCAN_FAILED,
  SCAN_MORE,
  scratch,
  scratchView,
  valueEnds,
  valueStarts,
} from './scratch.ts';

const HTAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;
const COLON = 0x3a;

/**
 * Scans field lines (RFC 9112 section 5) in `scratch` from `p` to `end`, where a NUL must stand, up to the empty line
 * that ends the section. Fills `lines` and the field arrays; returns the position behind the last complete line.
 * At most `room` lines are taken; one more is TOO_MANY_HEADERS.
 *
 * Strict where RFC 9112 lets a recipient choose: no bare LF (section 2.2), no obs-fold (5.2), no white space before
 * the colon (5.1), no controls in values.
 */
export function scanFieldLines(p: number, end: number, start: FieldName, room: number): number {
  let count = 0;
  let previous = start;
  for (;;) {
    const guess = previous.likelyNext;
    if (guess !== null && count < room) {
      const memo = guess.likelyLine;
      if (memo !== null && matchesLine(memo, p)) {
        fieldNames[count] = guess.text;
        fieldKinds[count] = guess.kind;
        fieldValues[count] = memo.value;
        count++;
        previous = guess;
        p += memo.bytes;
        continue;
      }
    }
    const lineStart = p;
    let name: FieldName;
    if (guess !== null && matchesName(guess, p)) {
      name = guess;
      p += name.text.length + 1;
    } else {
      const other = previous.otherNext;
      if (other !== null && matchesName(other, p)) {
        name = other;
        p += name.text.length + 1;
      } else {
        const nameEnd = tokenEnd(p);
        if (scratch[nameEnd] !== COLON || nameEnd === p) {
          lines.count = count;
          return endOrFailure(p, nameEnd, end);
        }
        name = lookUpName(p, nameEnd);
        p = nameEnd + 1;
      }
      if (name.words !== 0) {
        previous.otherNext = guess;
        previous.likelyNext = name;
      }
    }
    if (name.words !== 0) previous = name;
    let value: string | null = null;
    const line = name.otherLine;
    if (line !== null && matchesLine(line, lineStart)) {
      name.otherLine = name.likelyLine;
      name.likelyLine = line;
      value = line.value;
      p = lineStart + line.bytes;
    } else {
      let c = scratch[p];
      while (c === SP || c === HTAB) c = scratch[++p];
      const valueStart = p;
      p = valueStop(p);
      if (scratch[p] !== CR || scratch[p + 1] !== LF || p + 1 >= end) {
        lines.count = count;
        valueFailed(p, end);
        return lineStart;
      }
      let valueEnd = p;
      while (valueEnd > valueStart && ((c = scratch[valueEnd - 1]) === SP || c === HTAB)) valueEnd--;
      p += 2;
      if (name.words !== 0) rememberLine(name, lineStart, p, valueStart, valueEnd);
      valueStarts[count] = valueStart;
      valueEnds[count] = valueEnd;
    }
    if (count === room) {
      lines.count = count;
      lines.result = SCAN_FAILED;
      lines.error = 'TOO_MANY_HEADERS';
      return lineStart;
    }
    if (value === null) lines.textEnd = valueEnds[count];
    fieldNames[count] = name.text;
    fieldKinds[count] = name.kind;
    fieldValues[count] = value;
    count++;
  }
}

/**
 * First byte from `p` on that may not stand in a value. Four bytes a step while none of them is a control (below 0x20,
 * or 0x7f); HTAB is one, so it takes the slow steps.
 */
function valueStop(p: number): number {
  for (;;) {
    const word = scratchView.getInt32(p, true);
    const del = word ^ 0x7f7f7f7f;
    if (((((word - 0x20202020) & ~word) | ((del - 0x01010101) & ~del)) & 0x80808080) === 0) {
      p += 4;
      continue;
    }
    if (FIELD_VALUE[scratch[p]] === 0) return p;
    if (FIELD_VALUE[scratch[++p]] === 0) return p;
    if (FIELD_VALUE[scratch[++p]] === 0) return p;
    if (FIELD_VALUE[scratch[++p]] === 0) return p;
    p++;
  }
}

/** A line that is no field line: the empty one that ends the section, or a mistake. `start` is its first byte. */
function endOrFailure(start: number, nameEnd: number, end: number): number {
  const c = scratch[nameEnd];
  if (nameEnd >= end) {
    lines.result = SCAN_MORE;
  } else if (nameEnd > start) {
    if (c === SP || c === HTAB) lineFailed('SPACE_BEFORE_COLON', nameEnd, end);
    else lineFailed(c === CR || c === LF ? 'MISSING_COLON' : 'BAD_FIELD_NAME', nameEnd, end);
  } else if (c === CR) {
    if (scratch[start + 1] === LF && start + 1 < end) {
      lines.result = SCAN_DONE;
      return start + 2;
    }
    lineFailed('BARE_CR', start + 1, end);
  } else if (c === SP || c === HTAB) {
    lineFailed('OBS_FOLD', start, end);
  } else {
    lineFailed(c === LF ? 'BARE_LF' : 'BAD_FIELD_NAME', start, end);
  }
  return start;
}

function valueFailed(at: number, end: number): void {
  if (at >= end) {
    lines.result = SCAN_MORE;
    return;
  }
  const c = scratch[at];
  if (c === LF) lineFailed('BARE_LF', at, end);
  else if (c === CR) lineFailed('BARE_CR', at + 1, end);
  else lineFailed('BAD_FIELD_VALUE', at, end);
}
