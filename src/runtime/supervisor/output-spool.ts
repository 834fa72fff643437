import * as fs from 'node:fs';
import path from 'node:path';
import { LineSplitter, type LogStream } from './log-lines.ts';

/** Most that is read from one file before others have their turn. */
const TURN_BYTES = 1024 * 1024;
/** Read buffer, shared: reading is synchronous. */
const CHUNK_BYTES = 256 * 1024;

/** Reads after a skip, in which the writer may come to its end. */
const SKIP_PASSES = 8;

export interface SpoolSink {
  /** Lines of one stream, in order, as they were read. */
  lines(stream: LogStream, texts: readonly string[]): void;
  /** The process writes faster than can be read; so much of its output was left out. */
  dropped(stream: LogStream, bytes: number): void;
}

interface SpoolFile {
  stream: 'stdout' | 'stderr';
  file: string;
  fd: number;
  position: number;
  splitter: LineSplitter;
  /** Polls without new bytes since the rest of a line came. */
  idlePolls: number;
}

/**
 * What one process writes, in two files that it appends to by itself, so that it can write while no daemon runs. They
 * are read as they grow and emptied (by truncation: O_APPEND goes on at the new end) when they have been read past
 * their limit. How far was read is kept in a third file, for the daemon that comes after a crash.
 */
export class OutputSpool {
  readonly service: string;
  readonly instance: string;
  private readonly files: SpoolFile[];
  private readonly progressFile: string;
  private progressFd: number | null;
  private readonly sink: SpoolSink;
  private readonly maxBytes: number;
  private readonly buffer: Buffer;

  /** Throws what the file system throws. */
  constructor(folder: string, name: string, sink: SpoolSink, maxBytes: number, buffer: Buffer) {
    const { service, instance } = parseSpoolName(name) ?? { service: '', instance: '' };
    this.service = service;
    this.instance = instance;
    this.sink = sink;
    this.maxBytes = maxBytes;
    this.buffer = buffer;
    this.progressFile = path.join(folder, `${name}.read`);
    this.progressFd = fs.openSync(this.progressFile, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
    const positions = readPositions(this.progressFd);
    this.files = (['stdout', 'stderr'] as const).map((stream, index) => {
      const file = path.join(folder, `${name}.${stream}`);
      const fd = fs.openSync(file, 'a+', 0o600);
      const position = Math.min(positions[index], fs.fstatSync(fd).size);
      return { stream, file, fd, position, splitter: new LineSplitter(), idlePolls: 0 };
    });
  }

  /** Descriptors to hand to the process, valid until `close`. */
  get output(): { stdout: number; stderr: number } {
    return { stdout: this.files[0].fd, stderr: this.files[1].fd };
  }

  owns(fileName: string): boolean {
    return this.files.some(({ file }) => path.basename(file) === fileName);
  }

  /** Reads what is new, one turn's worth; true: there is more. */
  pump(): boolean {
    let more = false;
    let read = false;
    for (const file of this.files) {
      const before = file.position;
      more = this.pumpFile(file) || more;
      read ||= file.position !== before;
    }
    if (read) this.savePositions();
    return more;
  }

  /** Called about once a second: what was written without a line feed shows after a while. */
  poll(): void {
    for (const file of this.files) {
      if (!file.splitter.hasRest || ++file.idlePolls < 2) continue;
      this.emit(file, file.splitter.flush());
    }
  }

  /** Reads all there is, the unfinished last lines included. The process must have ended. */
  drain(): void {
    while (this.pump());
    for (const file of this.files) this.emit(file, file.splitter.flush());
  }

  /** Closes and deletes the files; what was not drained is lost. */
  remove(): void {
    this.close();
    for (const { file } of this.files) fs.rmSync(file, { force: true });
    fs.rmSync(this.progressFile, { force: true });
  }

  /** Leaves the files for the next daemon. */
  close(): void {
    if (this.progressFd === null) return;
    fs.closeSync(this.progressFd);
    this.progressFd = null;
    for (const { fd } of this.files) fs.closeSync(fd);
  }

  private pumpFile(file: SpoolFile): boolean {
    if (this.progressFd === null) return false;
    let budget = TURN_BYTES;
    while (budget > 0) {
      const length = fs.readSync(file.fd, this.buffer, 0, this.buffer.length, file.position);
      if (length === 0) {
        if (file.position > this.maxBytes) this.empty(file);
        return false;
      }
      file.position += length;
      file.idlePolls = 0;
      budget -= length;
      this.emit(file, file.splitter.push(this.buffer.subarray(0, length)));
    }
    const unread = fs.fstatSync(file.fd).size - file.position;
    if (unread > this.maxBytes) this.skip(file, unread);
    return unread > 0;
  }

  /** Leaves a flood out, but for its last part: what a process says before it ends explains why. */
  private skip(file: SpoolFile, unread: number): void {
    this.emit(file, file.splitter.flush());
    this.sink.dropped(file.stream, unread - this.buffer.length);
    file.position += unread - this.buffer.length;
    for (let pass = 0; pass < SKIP_PASSES; pass++) {
      const length = fs.readSync(file.fd, this.buffer, 0, this.buffer.length, file.position);
      if (length === 0) break;
      file.position += length;
      // The first line is a torn one.
      const start = pass === 0 ? this.buffer.subarray(0, length).indexOf(10) + 1 : 0;
      this.emit(file, file.splitter.push(this.buffer.subarray(start, length)));
    }
    // However much has come meanwhile: a disk that fills up is worse.
    fs.ftruncateSync(file.fd, 0);
    file.position = 0;
  }

  /** Truncation loses what is written between the look at the size and itself: microseconds, once in `maxBytes`. */
  private empty(file: SpoolFile): void {
    if (fs.fstatSync(file.fd).size !== file.position) return;
    fs.ftruncateSync(file.fd, 0);
    file.position = 0;
  }

  private emit(file: SpoolFile, texts: readonly string[]): void {
    if (texts.length > 0) this.sink.lines(file.stream, texts);
  }

  private savePositions(): void {
    if (this.progressFd === null) return;
    const text = this.files.map(({ position }) => String(position).padStart(16)).join(' ');
    try {
      fs.writeSync(this.progressFd, text, 0, 'latin1');
    } catch {
      // Disk full: after a crash some lines would come twice.
    }
  }
}

/** A read buffer to share among spools. */
export const spoolBuffer = (): Buffer => Buffer.allocUnsafeSlow(CHUNK_BYTES);

/** Service names have no `~`, so this can be taken apart again. */
export const spoolName = (service: string, instance: string, id: string): string => `${service}~${instance}~${id}`;

export function parseSpoolName(name: string): { service: string; instance: string } | null {
  const parts = name.split('~');
  return parts.length === 3 ? { service: parts[0], instance: parts[1] } : null;
}

function readPositions(fd: number): [number, number] {
  const buffer = Buffer.alloc(33);
  const text = buffer.toString('latin1', 0, fs.readSync(fd, buffer, 0, buffer.length, 0));
  const [stdout = 0, stderr = 0] = text.trim().split(/\s+/).map(Number);
  return [stdout || 0, stderr || 0];
}
