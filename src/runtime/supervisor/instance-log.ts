import * as fs from 'node:fs';
import path from 'node:path';
import { formatLines, type LogStream } from './log-lines.ts';

/** The log of one instance: `<instance>.log`, and `<instance>.log.1` with what came before. Only the daemon writes. */
export class InstanceLog {
  readonly service: string;
  readonly instance: string;
  readonly file: string;
  /** Counts rotations, so that a reader in the middle of the file knows where it went. */
  generation = 0;
  private fd: number | null = null;
  private sizeBytes = 0;
  private readonly maxBytes: number;

  constructor(folder: string, service: string, instance: string, maxBytes: number) {
    this.service = service;
    this.instance = instance;
    this.file = path.join(folder, service, `${instance}.log`);
    this.maxBytes = maxBytes;
  }

  /** False: the disk took nothing; the lines are lost, the service goes on. */
  append(timeMs: number, stream: LogStream, texts: readonly string[]): boolean {
    if (texts.length === 0) return true;
    const bytes = Buffer.from(formatLines(timeMs, stream, texts));
    try {
      const fd = this.open();
      const written = fs.writeSync(fd, bytes);
      this.sizeBytes += written;
      if (written < bytes.length) {
        fs.writeSync(fd, '\n');
        return false;
      }
      if (this.sizeBytes > this.maxBytes) this.rotate();
      return true;
    } catch {
      return false;
    }
  }

  close(): void {
    if (this.fd !== null) fs.closeSync(this.fd);
    this.fd = null;
  }

  private open(): number {
    if (this.fd !== null) return this.fd;
    fs.mkdirSync(path.dirname(this.file), { recursive: true, mode: 0o700 });
    this.fd = fs.openSync(this.file, 'a+', 0o600);
    this.sizeBytes = fs.fstatSync(this.fd).size;
    const last = Buffer.alloc(1, '\n');
    if (this.sizeBytes > 0) fs.readSync(this.fd, last, 0, 1, this.sizeBytes - 1);
    // A line torn by a crash or a full disk must not swallow the next one.
    if (last[0] !== 10) this.sizeBytes += fs.writeSync(this.fd, '\n');
    return this.fd;
  }

  private rotate(): void {
    this.close();
    fs.renameSync(this.file, `${this.file}.1`);
    this.generation++;
    this.open();
  }
}
