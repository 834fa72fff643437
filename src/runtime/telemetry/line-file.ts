import { type FileHandle, mkdir, open, stat } from 'node:fs/promises';
import path from 'node:path';

/** Between two looks at whether the file is still where it was. */
const CHECK_INTERVAL_MS = 1_000;

/** A file that lines are appended to. One that was rotated away is opened anew. */
export class LineFile {
  private handle: FileHandle | null = null;
  private inode = 0;
  private checkedAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly file: string,
    private readonly now: () => number,
  ) {}

  /** Throws what the file system throws; the next call opens it again. */
  async append(text: string): Promise<void> {
    try {
      const now = this.now();
      if (this.handle === null || now - this.checkedAtMs >= CHECK_INTERVAL_MS) await this.reopenIfMoved(now);
      await this.handle!.appendFile(text);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const { handle } = this;
    this.handle = null;
    await handle?.close().catch(() => undefined);
  }

  private async reopenIfMoved(now: number): Promise<void> {
    this.checkedAtMs = now;
    if (this.handle !== null) {
      const there = await stat(this.file).catch(() => null);
      if (there !== null && there.ino === this.inode) return;
      await this.close();
    }
    await mkdir(path.dirname(this.file), { recursive: true });
    // Paths may hold secrets: for the owner alone.
    this.handle = await open(this.file, 'a', 0o600);
    this.inode = (await this.handle.stat()).ino;
  }
}
