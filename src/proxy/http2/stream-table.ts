import { MAX_INT31 } from './frames.ts';
import type { H2Stream } from './stream.ts';

/** Streams reset by us that are remembered, so that what was under way is not taken for an error. */
const REMEMBERED_RESETS = 1024;

/** The streams of a connection and what is known of ids that have none (RFC 9113 section 5.1). */
export class StreamTable {
  /** Highest id that the client has used. */
  lastPeerId = 0;
  private readonly open = new Map<number, H2Stream>();
  /** The stream found last: frames of one stream tend to come together. */
  private recent: H2Stream | undefined;
  /** Client: id of the next request. */
  private nextId = 1;
  /** Server: how many ids the client has used. */
  private used = 0;
  private resets: Set<number> | null = null;

  constructor(private readonly isServer: boolean) {}

  get size(): number {
    return this.open.size;
  }

  get idsUsedUp(): boolean {
    return this.nextId > MAX_INT31;
  }

  takeId(): number {
    const id = this.nextId;
    this.nextId += 2;
    return id;
  }

  values(): Iterable<H2Stream> {
    return this.open.values();
  }

  add(stream: H2Stream): void {
    this.open.set(stream.id, stream);
    this.recent = stream;
  }

  delete(stream: H2Stream): void {
    this.open.delete(stream.id);
    if (this.recent === stream) this.recent = undefined;
  }

  find(streamId: number): H2Stream | undefined {
    if (this.recent !== undefined && this.recent.id === streamId) return this.recent;
    const stream = this.open.get(streamId);
    if (stream !== undefined) this.recent = stream;
    return stream;
  }

  /** Whether no message has ever been on that stream. Even ids are never used: nobody pushes. */
  isIdle(streamId: number): boolean {
    if ((streamId & 1) === 0) return true;
    return this.isServer ? streamId > this.lastPeerId : streamId >= this.nextId;
  }

  /** Server: the client has begun to use that id. */
  opened(streamId: number): void {
    this.lastPeerId = streamId;
    this.used++;
  }

  /** Server: whether the client has passed over ids, which it may not use any more (section 5.1.1). */
  get idsPassedOver(): boolean {
    return this.used * 2 <= this.lastPeerId;
  }

  /** We have reset that stream. */
  rememberReset(streamId: number): void {
    this.resets ??= new Set();
    this.resets.add(streamId);
    if (this.resets.size <= REMEMBERED_RESETS) return;
    for (const oldest of this.resets) {
      this.resets.delete(oldest);
      break;
    }
  }

  /** Whether we have reset that stream lately. */
  wasReset(streamId: number): boolean {
    return this.resets?.has(streamId) === true;
  }
}
