import * as fs from 'node:fs';
import type { LogLine } from '../../model/status.ts';
import { parseLine } from './log-lines.ts';

/** Where a log is, and how often it was rotated; an InstanceLog, or a file that nobody writes to. */
export interface LogSource {
  readonly service: string;
  readonly instance: string;
  readonly file: string;
  readonly generation: number;
}

const CHUNK_BYTES = 64 * 1024;

/**
 * Reads the log of one instance, from a chosen place to its end and then on as it grows. The file itself is the queue
 * between writer and reader: a slow reader costs no memory and loses nothing, unless two rotations overtake it.
 */
export class LogCursor {
  readonly source: LogSource;
  private fd: number | null = null;
  private position = 0;
  private generation: number;
  private lines: LogLine[] = [];
  private at = 0;
  private sinceTime = '';
  private chunkBytes = CHUNK_BYTES;

  /** `fromStart`: a log that appeared while following is read whole. */
  constructor(source: LogSource) {
    this.source = source;
    this.generation = source.generation;
  }

  /** Goes to where the last `tail` lines begin, of those not older than `sinceMs`. */
  seek(tail: number | null, sinceMs: number | null): void {
    this.sinceTime = sinceMs === null ? '' : new Date(sinceMs).toISOString();
    const files = [this.source.file, `${this.source.file}.1`];
    let wanted = tail;
    let start = { file: 0, position: 0 };
    for (const [index, file] of files.entries()) {
      const fd = openIfThere(file);
      if (fd === null) break;
      try {
        const size = fs.fstatSync(fd).size;
        const since = this.sinceTime === '' ? 0 : findTime(fd, size, this.sinceTime);
        const found = wanted === null ? { position: 0, missing: null } : findLastLines(fd, size, wanted);
        start = { file: index, position: Math.max(found.position, since) };
        if (since > 0 || found.missing === 0) break;
        wanted = found.missing;
      } finally {
        fs.closeSync(fd);
      }
    }
    // The older file counts as the generation before.
    this.generation = this.source.generation - start.file;
    this.position = start.position;
    this.fd = openIfThere(files[start.file]);
  }

  /** The next line, left in place; null: nothing more for now. */
  peek(): LogLine | null {
    while (this.at >= this.lines.length) {
      if (!this.fill()) return null;
    }
    return this.lines[this.at];
  }

  take(): void {
    this.at++;
  }

  close(): void {
    if (this.fd !== null) fs.closeSync(this.fd);
    this.fd = null;
  }

  /** False: at the end of what is written. */
  private fill(): boolean {
    this.fd ??= openIfThere(this.source.file);
    if (this.fd === null) return false;
    const buffer = Buffer.allocUnsafe(this.chunkBytes);
    const length = fs.readSync(this.fd, buffer, 0, buffer.length, this.position);
    const end = buffer.lastIndexOf(10, length - 1);
    if (length === 0 || end < 0 || end >= length) {
      if (length === buffer.length) {
        this.chunkBytes *= 2;
        return true;
      }
      return this.nextGeneration();
    }
    this.chunkBytes = CHUNK_BYTES;
    this.position += end + 1;
    this.at = 0;
    this.lines = [];
    for (const text of buffer.toString('utf8', 0, end).split('\n')) {
      const line = parseLine(text, this.source.service, this.source.instance);
      if (line !== null && line.time >= this.sinceTime) this.lines.push(line);
    }
    return true;
  }

  /** The file was rotated away under us: on to the next one, once all of it has been read. */
  private nextGeneration(): boolean {
    const behind = this.source.generation - this.generation;
    if (behind <= 0) return false;
    this.close();
    const older = behind > 1;
    this.fd = openIfThere(older ? `${this.source.file}.1` : this.source.file);
    this.generation = this.source.generation - (older ? 1 : 0);
    this.position = 0;
    if (behind > 2 && this.lines.length > 0) {
      const { time } = this.lines[this.lines.length - 1];
      const { service, instance } = this.source;
      this.lines = [{ time, service, instance, stream: 'mesh', text: 'lines left out: the log was read too slowly' }];
      this.at = 0;
    }
    return true;
  }
}

function openIfThere(file: string): number | null {
  try {
    return fs.openSync(file, 'r');
  } catch {
    return null;
  }
}

/** Where the last `count` lines begin; `missing`: so many more there should have been. */
function findLastLines(fd: number, size: number, count: number): { position: number; missing: number } {
  if (count <= 0) return { position: size, missing: 0 };
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let found = 0;
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - buffer.length);
    const length = fs.readSync(fd, buffer, 0, end - start, start);
    for (let at = buffer.lastIndexOf(10, length - 1); at >= 0; at = at === 0 ? -1 : buffer.lastIndexOf(10, at - 1)) {
      if (start + at === size - 1) continue;
      if (++found === count) return { position: start + at + 1, missing: 0 };
    }
    end = start;
  }
  return { position: 0, missing: size === 0 ? count : count - found - 1 };
}

/** A line start before which everything is older than `time`, by bisection: times rise, but for a clock that was set back. */
function findTime(fd: number, size: number, time: string): number {
  let low = 0;
  let high = size;
  while (high - low > CHUNK_BYTES) {
    const middle = Math.floor((low + high) / 2);
    const buffer = Buffer.alloc(512 * 1024);
    const length = fs.readSync(fd, buffer, 0, buffer.length, middle);
    const feed = buffer.subarray(0, length).indexOf(10);
    if (feed < 0 || feed + 25 > length || middle + feed + 1 >= high) {
      high = middle;
      continue;
    }
    if (buffer.toString('latin1', feed + 1, feed + 25) < time) low = middle + feed + 1;
    else high = middle;
  }
  return low;
}
