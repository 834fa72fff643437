import { type FieldName, sectionStart } from './field-names.ts';
import { scanFieldLines } from './field-scanner.ts';
import type { Http1ErrorCode } from './parse-error.ts';
import { lineFailed, lines, MAX_FIELDS, SCAN_DONE, SCAN_FAILED, SCAN_MORE, SCRATCH_BYTES, scratch } from './scratch.ts';
import { scanRequestLine, scanStatusLine } from './start-line.ts';

/** Most heads are shorter; longer ones are scanned again with four times as much. */
const FIRST_BLOCK_BYTES = 2048;
const BLOCK_GROWTH = 4;
const FIRST_CARRY_BYTES = 512;

export type SectionKind = 'request' | 'response' | 'trailers';

const requestStart = sectionStart();
const responseStart = sectionStart();
const trailersStart = sectionStart();

/**
 * Reads the line-oriented part of a message (a head or a trailer section) from bytes that arrive in any pieces.
 * Every read scans whole lines only; the bytes of an unfinished line are carried to the next read, and scanned
 * when its LF has come. So no byte is scanned more than a few times, however small the pieces, and the outcome
 * does not depend on them.
 */
export class SectionReader {
  private readonly names: FieldName;
  private readonly maxBytes: number;
  private readonly maxFields: number;
  /** An unfinished line. */
  private carry: Buffer | null = null;
  private carried = 0;
  /** Bytes and field lines of this section in earlier reads. */
  private pastBytes = 0;
  private pastFields = 0;
  private startLineDone: boolean;
  private blankLineSkipped = false;

  constructor(
    private readonly kind: SectionKind,
    maxBytes: number,
    maxFields: number,
  ) {
    this.names = kind === 'request' ? requestStart : kind === 'response' ? responseStart : trailersStart;
    this.maxBytes = Math.min(maxBytes, SCRATCH_BYTES);
    this.maxFields = Math.min(maxFields, MAX_FIELDS);
    this.startLineDone = kind === 'trailers';
  }

  /** Whether nothing of a section has been read (but for the blank line allowed before a request). */
  get empty(): boolean {
    return this.carried === 0 && (this.kind === 'trailers' ? this.pastBytes === 0 : !this.startLineDone);
  }

  reset(): void {
    this.carry = null;
    this.carried = 0;
    this.pastBytes = 0;
    this.pastFields = 0;
    this.startLineDone = this.kind === 'trailers';
    this.blankLineSkipped = false;
  }

  /**
   * Reads lines from `buf` and leaves them in `lines`, whatever `lines.result` says: on SCAN_FAILED they are those
   * before the broken one. Returns the position behind what was consumed: all but after SCAN_DONE.
   */
  read(buf: Buffer, start: number, end: number): number {
    lines.started = false;
    lines.count = 0;
    lines.textEnd = 0;
    const had = this.carried;
    const budget = this.maxBytes - this.pastBytes;
    const available = had + end - start;
    if (had > 0) {
      const lf = buf.indexOf(0x0a, start);
      if (lf < 0 || lf >= end) {
        if (available >= budget) this.tooLarge();
        else this.hold(buf, start, end);
        return end;
      }
      this.carry!.copy(scratch, 0, 0, had);
    }
    const total = Math.min(available, budget);
    let loaded = had;
    let n = had + FIRST_BLOCK_BYTES;
    let p: number;
    for (;;) {
      if (n > total) n = total;
      // Copying a part makes a view of it first, which takes longer than the copy.
      if (loaded === 0 && start === 0 && n === buf.length) scratch.set(buf, 0);
      else buf.copy(scratch, loaded, start + loaded - had, start + n - had);
      loaded = n;
      scratch[n] = 0;
      p = this.scan(n);
      if (lines.result !== SCAN_MORE || n === total) break;
      n *= BLOCK_GROWTH;
    }
    if (lines.result === SCAN_DONE) {
      if (had > 0 || this.pastBytes > 0) this.reset();
      else this.blankLineSkipped = false;
      return start + p - had;
    }
    if (lines.result === SCAN_FAILED) return end;
    if (available >= budget) {
      if (lines.started) this.startLineDone = true;
      this.tooLarge();
      return end;
    }
    this.suspend(p, n);
    return end;
  }

  /** One pass over `scratch` up to `n`; returns the position behind the last complete line. */
  private scan(n: number): number {
    let p = 0;
    lines.started = false;
    if (!this.startLineDone) {
      if (this.kind === 'request') {
        if (scratch[0] === 0x0d && !this.blankLineSkipped) {
          // RFC 9112 section 2.2: one empty line before a request is ignored; old clients sent it after a body.
          if (scratch[1] !== 0x0a || n < 2) {
            lineFailed('BARE_CR', 1, n);
            return 0;
          }
          p = 2;
        }
        const lineEnd = scanRequestLine(p, n);
        if (lineEnd < 0) return p;
        p = lineEnd;
      } else {
        p = scanStatusLine(0, n);
        if (p < 0) return 0;
      }
      lines.started = true;
    }
    return scanFieldLines(p, n, this.names, this.maxFields - this.pastFields);
  }

  /** Keeps the unfinished line, `scratch` from `p` to `n`, for the next read. */
  private suspend(p: number, n: number): void {
    this.pastBytes += p;
    this.pastFields += lines.count;
    if (lines.started) this.startLineDone = true;
    if (p > 0) this.blankLineSkipped = true;
    const rest = n - p;
    if (rest > 0) {
      if (this.carry === null || this.carry.length < rest) {
        this.carry = Buffer.allocUnsafe(Math.max(FIRST_CARRY_BYTES, 2 * rest));
      }
      scratch.copy(this.carry, 0, p, n);
    }
    this.carried = rest;
  }

  /** Appends to the unfinished line without looking at it. */
  private hold(buf: Buffer, start: number, end: number): void {
    const size = this.carried + end - start;
    let carry = this.carry!;
    if (carry.length < size) {
      const grown = Buffer.allocUnsafe(2 * size);
      carry.copy(grown, 0, 0, this.carried);
      this.carry = carry = grown;
    }
    buf.copy(carry, this.carried, start, end);
    this.carried = size;
    lines.result = SCAN_MORE;
  }

  private tooLarge(): void {
    lines.result = SCAN_FAILED;
    lines.error = this.tooLargeCode();
  }

  private tooLargeCode(): Http1ErrorCode {
    if (this.kind === 'trailers') return 'TRAILERS_TOO_LARGE';
    return this.kind === 'request' && !this.startLineDone ? 'URI_TOO_LONG' : 'HEAD_TOO_LARGE';
  }
}
