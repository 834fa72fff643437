import { FIELD_VALUE } from './characters.ts';
import { type FieldName, lookUpName, matchesName, tokenEnd } from './field-names.ts';
import {
  fieldKinds,
  fieldNames,
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
    const lineStart = p;
    let name: FieldName;
    const guess = previous.likelyNext;
    if (guess !== null && matchesName(guess, p)) {
      name = guess;
      p += name.text.length + 1;
    } else {
      const other = previous.otherNext;
      if (other !== null && matchesName(other, p)) {
        name = other;
        previous.otherNext = guess;
        previous.likelyNext = other;
        p += name.text.length + 1;
      } else {
        const c = scratch[p];
        if (c === CR) {
          if (scratch[p + 1] === LF && p + 1 < end) {
            lines.result = SCAN_DONE;
            lines.count = count;
            return p + 2;
          }
          lines.count = count;
          lineFailed('BARE_CR', p + 1, end);
          return lineStart;
        }
        const nameEnd = tokenEnd(p);
        if (scratch[nameEnd] !== COLON || nameEnd === p) {
          lines.count = count;
          nameFailed(p, nameEnd, end);
          return lineStart;
        }
        name = lookUpName(p, nameEnd);
        if (name.words !== 0) {
          previous.otherNext = guess;
          previous.likelyNext = name;
        }
        p = nameEnd + 1;
      }
    }
    let c = scratch[p];
    while (c === SP || c === HTAB) c = scratch[++p];
    const valueStart = p;
    // Four bytes a step while none of them is a control (below 0x20, or 0x7f); HTAB is one, so it takes the slow steps.
    for (;;) {
      const word = scratchView.getInt32(p, true);
      const del = word ^ 0x7f7f7f7f;
      if (((((word - 0x20202020) & ~word) | ((del - 0x01010101) & ~del)) & 0x80808080) === 0) {
        p += 4;
        continue;
      }
      if (FIELD_VALUE[scratch[p]] === 0) break;
      if (FIELD_VALUE[scratch[++p]] === 0) break;
      if (FIELD_VALUE[scratch[++p]] === 0) break;
      if (FIELD_VALUE[scratch[++p]] === 0) break;
      p++;
    }
    if (scratch[p] !== CR || scratch[p + 1] !== LF || p + 1 >= end) {
      lines.count = count;
      valueFailed(p, end);
      return lineStart;
    }
    if (count === room) {
      lines.count = count;
      lines.result = SCAN_FAILED;
      lines.error = 'TOO_MANY_HEADERS';
      return lineStart;
    }
    let valueEnd = p;
    while (valueEnd > valueStart && ((c = scratch[valueEnd - 1]) === SP || c === HTAB)) valueEnd--;
    fieldNames[count] = name.text;
    fieldKinds[count] = name.kind;
    valueStarts[count] = valueStart;
    valueEnds[count] = valueEnd;
    lines.textEnd = valueEnd;
    count++;
    if (name.words !== 0) previous = name;
    p += 2;
  }
}

function nameFailed(start: number, nameEnd: number, end: number): void {
  if (nameEnd >= end) {
    lines.result = SCAN_MORE;
    return;
  }
  const c = scratch[nameEnd];
  if (c === SP || c === HTAB) lineFailed(nameEnd === start ? 'OBS_FOLD' : 'SPACE_BEFORE_COLON', nameEnd, end);
  else if (c === LF) lineFailed(nameEnd === start ? 'BARE_LF' : 'MISSING_COLON', nameEnd, end);
  else if (c === CR) lineFailed('MISSING_COLON', nameEnd, end);
  else lineFailed('BAD_FIELD_NAME', nameEnd, end);
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
