import { MAX_INT31 } from './frames.ts';
import type { H2Stream } from './stream.ts';

const PLACES = 256;

/** Streams reset by us that are remembered, so that what was under way is not taken for an error. */
const REMEMBERED_RESETS = 1024;

/** The streams of a connection and what is known of ids that have none (RFC 9113 section 5.1). */
export class StreamTable {
  /** Highest id that the client has used. */
  lastPeerId = 0;
  /**
   * By the low bits of the ID: IDs are given out one after another, so that two open streams rarely want one place. A
   * `Map`, from which streams are deleted as quickly as they are added, would build itself anew every few streams.
   */
  private readonly places: (H2Stream | undefined)[] = [];
  /** Streams whose place was taken. */
  private displaced: Map<number, H2Stream> | null = null;
  private open = 0;
  /** Client: id of the next request. */
  private nextId = 1;
  /** Server: how many ids the client has used. */
  private used = 0;
  private resets: Set<number> | null = null;

  constructor(private readonly isServer: boolean) {}

  get size(): number {
    return this.open;
  }

  get idsUsedUp(): boolean {
    return this.nextId > MAX_INT31;
  }

  takeId(): number {
    const id = this.nextId;
    this.nextId += 2;
    return id;
  }

  values(): H2Stream[] {
    const streams = this.places.filter((stream) => stream !== undefined);
    return this.displaced === null ? streams : [...streams, ...this.displaced.values()];
  }

  add(stream: H2Stream): void {
    const place = placeOf(stream.id);
    // Filled from the front, so that the array stays dense.
    while (this.places.length <= place) this.places.push(undefined);
    if (this.places[place] === undefined) this.places[place] = stream;
    else {
      this.displaced ??= new Map();
      this.displaced.set(stream.id, stream);
    }
    this.open++;
  }

  delete(stream: H2Stream): void {
    const place = placeOf(stream.id);
    if (this.places[place] === stream) this.places[place] = undefined;
    else if (this.displaced?.delete(stream.id) !== true) return;
    this.open--;
  }

  find(streamId: number): H2Stream | undefined {
    const stream = this.places[placeOf(streamId)];
    if (stream !== undefined && stream.id === streamId) return stream;
    return this.displaced === null ? undefined : this.displaced.get(streamId);
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

/** IDs of one side are all odd, or all even. */
const placeOf = (streamId: number): number => (streamId >>> 1) & (PLACES - 1);
