/**
 * Durations and sizes as text. Text is parsed once, where it enters; everything inside is milliseconds and bytes.
 */

/** GEP-2257: `^([0-9]{1,5}(h|m|s|ms)){1,4}$`. */
const MAX_PARTS = 4;
const MAX_DIGITS = 5;
const UNIT_MS = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;
/** From large to small. */
const UNITS = ['h', 'm', 's', 'ms'] as const;

const SIZE = /^([0-9]{1,15})(Ki|Mi|Gi|Ti)?$/;
const UNIT_BYTES: Readonly<Record<string, number>> = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 };

/** What a duration looks like, for messages. */
export const DURATION_FORM = 'a duration such as 500ms, 10s, 1m30s or 1h';

/** Longest delay that Node's timers keep to; beyond it they fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** Longest duration that GEP-2257 can write, in milliseconds: `99999h59m59s999ms`. */
export const MAX_DURATION_MS = 99_999 * UNIT_MS.h + 59 * UNIT_MS.m + 59 * UNIT_MS.s + 999;

/**
 * Milliseconds of a duration in GEP-2257's form, or null where the text is none. A unit may come twice, as in Go. By
 * hand, because a large configuration has a hundred thousand of them and a regular expression took most of its time.
 */
export function parseDuration(text: string): number | null {
  let ms = 0;
  let at = 0;
  for (let part = 0; part < MAX_PARTS && at < text.length; part++) {
    const start = at;
    let count = 0;
    for (; at < text.length; at++) {
      const digit = text.charCodeAt(at) - 0x30;
      if (digit < 0 || digit > 9) break;
      count = count * 10 + digit;
    }
    if (at === start || at - start > MAX_DIGITS) return null;
    const unit = text[at++];
    if (unit === 'm' && text[at] === 's') {
      at++;
      ms += count;
    } else if (unit === 'h' || unit === 'm' || unit === 's') ms += count * UNIT_MS[unit];
    else return null;
  }
  return at === text.length && at > 0 ? ms : null;
}

/** A duration in GEP-2257's form. Whole milliseconds from 0 to `MAX_DURATION_MS`; parsing it gives the same number. */
export function formatDuration(ms: number): string {
  if (!Number.isInteger(ms) || ms < 0 || ms > MAX_DURATION_MS) throw new RangeError(`not a duration: ${ms} ms`);
  if (ms === 0) return '0s';
  let rest = ms;
  let text = '';
  for (const unit of UNITS) {
    const count = Math.floor(rest / UNIT_MS[unit]);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * UNIT_MS[unit];
  }
  return text;
}

/** Bytes of a size, or null where the text is none or says more than a number can hold exactly. */
export function parseSize(text: string): number | null {
  const parts = SIZE.exec(text);
  if (parts === null) return null;
  const bytes = Number(parts[1]) * (parts[2] === undefined ? 1 : UNIT_BYTES[parts[2]]);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** A size with the largest unit that divides it, so that parsing it gives the same number. */
export function formatSize(bytes: number): string {
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw new RangeError(`not a size: ${bytes} bytes`);
  if (bytes === 0) return '0';
  for (const unit of ['Ti', 'Gi', 'Mi', 'Ki']) {
    if (bytes % UNIT_BYTES[unit] === 0) return `${bytes / UNIT_BYTES[unit]}${unit}`;
  }
  return String(bytes);
}

/** What a text that is no duration was probably meant to be: `10 sec` is `10s`. Null where that cannot be told. */
export function guessDuration(text: string): string | null {
  const parts = /^\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)\.?\s*$/.exec(text);
  if (parts === null) return null;
  const unit = UNITS.find((name) => UNIT_WORDS[name].includes(parts[2].toLowerCase()));
  if (unit === undefined) return null;
  const ms = Math.round(Number(parts[1]) * UNIT_MS[unit]);
  return ms <= MAX_DURATION_MS ? formatDuration(ms) : null;
}

const UNIT_WORDS: Readonly<Record<(typeof UNITS)[number], readonly string[]>> = {
  ms: ['ms', 'msec', 'msecs', 'millisecond', 'milliseconds'],
  s: ['s', 'sec', 'secs', 'second', 'seconds'],
  m: ['m', 'min', 'mins', 'minute', 'minutes'],
  h: ['h', 'hr', 'hrs', 'hour', 'hours'],
};
