import { FIELD_OVERHEAD_BYTES, FieldKind } from './field.ts';
import { encodeHuffman, huffmanBytes } from './huffman.ts';
import { writeInteger } from './integer.ts';
import { Indexing, KNOWN_NAMES, type KnownName, STATIC_ENTRIES } from './static-table.ts';

/** An entry of the dynamic table. */
interface Entry {
  readonly name: string;
  readonly value: string;
  /** Count of insertions when it went in; its index follows from its age. */
  readonly sequence: number;
  /** The next older entry with the same value and another name. */
  older: Entry | undefined;
}

const EMPTY = Buffer.alloc(0);

const INCREMENTAL = 0x40;
const WITHOUT_INDEXING = 0x00;
const NEVER_INDEXED = 0x10;

/** What a field became the last time that it stood at some place of a head. */
interface Remembered {
  name: string;
  value: string;
  /** Static index, or 0 and an entry. */
  index: number;
  entry: Entry | null;
}

/** Heads of one shape tend to hold the same fields at the same places; so many places are remembered for each shape. */
const PLACES = 32;

/** Shapes that `begin` tells apart. */
export const HeadShape = { Request: 0, Response: 1, Trailers: 2 } as const;
export type HeadShape = (typeof HeadShape)[keyof typeof HeadShape];

/** Values remembered as seen once. Cleared when full: a value that repeats comes back. */
const CANDIDATES = 64;
/** Names whose last entry is remembered. Cleared when full; only compression is lost. */
const NAMES = 256;
/** Secrets shorter than this could be guessed by watching sizes (RFC 7541 section 7.1.3); longer ones cannot. */
const GUESSABLE_SECRET_CHARS = 20;
/** Values longer than this share of the table would push out everything else. */
const LARGEST_SHARE = 4;

/** Bytes that an encoded field may take beyond its characters: an index and two lengths. */
export const FIELD_WIRE_OVERHEAD_BYTES = 18;
/** Bytes that `begin` may write. */
export const BLOCK_WIRE_OVERHEAD_BYTES = 12;

export interface EncoderOptions {
  /** Whether strings are Huffman-coded where that is shorter. Off for links on one machine: it costs more time than bytes. */
  huffman: boolean;
}

/**
 * The sending half of HPACK (RFC 7541): fields to header blocks.
 *
 * A field goes into the dynamic table when it is seen for the second time within a short memory. So what repeats
 * costs one byte, and values that never come back (ids, paths with ids) do not wash the others out. A name that is
 * in no table goes in with its first value, so that later ones cost an index instead of the name.
 *
 * Usage: `begin(buf, at)`, `field(...)` for each, then `end()`. The buffer must have room for
 * BLOCK_WIRE_OVERHEAD_BYTES and, for each field, its characters + FIELD_WIRE_OVERHEAD_BYTES.
 */
export class HpackEncoder {
  pos = 0;
  private buf: Buffer = EMPTY;
  private readonly huffman: boolean;
  /** Entries oldest first; `first` is the place of the oldest. Compacted now and then. */
  private entries: Entry[] = [];
  private first = 0;
  private inserted = 0;
  private size = 0;
  private maxSize = 4096;
  /** Smallest size set since the last block, and whether the next block must announce sizes (section 4.2). */
  private lowestSize = 4096;
  private updateDue = false;
  private readonly ceiling: number;
  /** Newest entry by value. Values repeat across names far less than names across values, so this finds in one step. */
  private byValue: Map<string, Entry> | null = null;
  private nameSequence: Map<string, number> | null = null;
  private candidates: Map<string, string> | null = null;
  /** By shape and place. Comparing two strings that are the same object costs a quarter of two look-ups by hash. */
  private remembered: (Remembered | undefined)[] = [];
  private place = 0;
  private lastPlace = 0;

  /** `tableBytes`: the most it keeps whatever the peer allows. The table starts at the protocol's 4096. */
  constructor(tableBytes: number, options: EncoderOptions = { huffman: false }) {
    this.ceiling = tableBytes;
    this.huffman = options.huffman;
    if (tableBytes < this.maxSize) this.setPeerLimit(this.maxSize);
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE, in bytes. Takes effect with the next block. */
  setPeerLimit(bytes: number): void {
    const size = Math.min(bytes, this.ceiling);
    if (size === this.maxSize) return;
    if (!this.updateDue) this.lowestSize = this.maxSize;
    if (size < this.lowestSize) this.lowestSize = size;
    this.updateDue = true;
    this.maxSize = size;
    this.evict(0);
  }

  begin(buf: Buffer, pos: number, shape: HeadShape): void {
    this.buf = buf;
    this.pos = pos;
    this.place = shape * PLACES;
    this.lastPlace = this.place + PLACES;
    if (!this.updateDue) return;
    this.updateDue = false;
    if (this.lowestSize < this.maxSize) this.pos = writeInteger(buf, this.pos, 0x20, 0x1f, this.lowestSize);
    this.pos = writeInteger(buf, this.pos, 0x20, 0x1f, this.maxSize);
    this.lowestSize = this.maxSize;
  }

  /** Ends the block and returns its end. */
  end(): number {
    // An idle connection must not keep the shared slab alive.
    this.buf = EMPTY;
    return this.pos;
  }

  /** Writes a field by its static index alone: `:method: GET` is 2, and so on. */
  staticField(index: number): void {
    this.buf[this.pos++] = 0x80 | index;
  }

  /**
   * Writes a field. Connection-specific ones are left out: they would make the message malformed (RFC 9113 section
   * 8.2.2). `secret`: the field came to us as never-indexed and must go on so (RFC 7541 section 6.2.3).
   */
  field(name: string, value: string, secret = false): void {
    const place = this.place++;
    const last = this.remembered[place];
    if (last !== undefined && last.value === value && last.name === name && !secret) {
      const { entry } = last;
      if (entry === null) {
        this.buf[this.pos++] = 0x80 | last.index;
        return;
      }
      const age = this.inserted - entry.sequence;
      if (age < this.entries.length - this.first) {
        this.indexed(STATIC_ENTRIES + 1 + age);
        return;
      }
    }
    this.lookUp(place, name, value, secret);
  }

  private lookUp(place: number, name: string, value: string, secret: boolean): void {
    const known = KNOWN_NAMES.get(name);
    if (known !== undefined) {
      if (known.indexing === Indexing.Dropped) return;
      if (known.kind === FieldKind.Te && value !== 'trailers') return;
      if (known.staticValues !== null) {
        const index = known.staticValues.get(value);
        if (index !== undefined) {
          this.buf[this.pos++] = 0x80 | index;
          this.remember(place, name, value, index, null);
          return;
        }
      }
    }
    const indexing = known === undefined ? Indexing.OnRepeat : known.indexing;
    if (secret || (indexing === Indexing.Secret && value.length < GUESSABLE_SECRET_CHARS)) {
      this.literal(NEVER_INDEXED, 0x0f, this.nameIndex(name, known), name, value);
      return;
    }
    if (indexing !== Indexing.Volatile && this.byValue !== null) {
      let entry = this.byValue.get(value);
      while (entry !== undefined && entry.name !== name) entry = entry.older;
      if (entry !== undefined) {
        this.indexed(STATIC_ENTRIES + 1 + this.inserted - entry.sequence);
        this.remember(place, name, value, 0, entry);
        return;
      }
    }
    const index = this.nameIndex(name, known);
    const fits = (name.length + value.length + FIELD_OVERHEAD_BYTES) * LARGEST_SHARE <= this.maxSize;
    if (fits && (index === 0 || (indexing !== Indexing.Volatile && this.seenBefore(name, value)))) {
      this.literal(INCREMENTAL, 0x3f, index, name, value);
      this.insert(name, value);
    } else {
      this.literal(WITHOUT_INDEXING, 0x0f, index, name, value);
    }
  }

  private indexed(index: number): void {
    if (index < 0x7f) this.buf[this.pos++] = 0x80 | index;
    else this.pos = writeInteger(this.buf, this.pos, 0x80, 0x7f, index);
  }

  private remember(place: number, name: string, value: string, index: number, entry: Entry | null): void {
    if (place >= this.lastPlace) return;
    const last = this.remembered[place];
    if (last !== undefined) {
      last.name = name;
      last.value = value;
      last.index = index;
      last.entry = entry;
      return;
    }
    while (this.remembered.length <= place) this.remembered.push(undefined);
    this.remembered[place] = { name, value, index, entry };
  }

  private nameIndex(name: string, known: KnownName | undefined): number {
    if (known !== undefined && known.staticIndex > 0) return known.staticIndex;
    const sequence = this.nameSequence?.get(name);
    if (sequence === undefined) return 0;
    const age = this.inserted - sequence;
    return age < this.entries.length - this.first ? STATIC_ENTRIES + 1 + age : 0;
  }

  private seenBefore(name: string, value: string): boolean {
    this.candidates ??= new Map();
    if (this.candidates.get(value) === name) {
      this.candidates.delete(value);
      return true;
    }
    if (this.candidates.size >= CANDIDATES) this.candidates.clear();
    this.candidates.set(value, name);
    return false;
  }

  private literal(flags: number, mask: number, nameIndex: number, name: string, value: string): void {
    if (nameIndex < mask) this.buf[this.pos++] = flags | nameIndex;
    else this.pos = writeInteger(this.buf, this.pos, flags, mask, nameIndex);
    if (nameIndex === 0) this.string(name);
    this.string(value);
  }

  private string(text: string): void {
    const buf = this.buf;
    const length = text.length;
    if (this.huffman) {
      const bytes = huffmanBytes(text);
      if (bytes < length) {
        const safe = MAY_BREAK.test(text) ? withoutBreaks(text) : text;
        const coded = safe === text ? bytes : huffmanBytes(safe);
        this.pos = encodeHuffman(safe, buf, writeInteger(buf, this.pos, 0x80, 0x7f, coded));
        return;
      }
    }
    const start = writeInteger(buf, this.pos, 0, 0x7f, length);
    const end = start + length;
    // Below this, the call into C++ costs more than the loop.
    if (length < 12) for (let i = 0; i < length; i++) buf[start + i] = text.charCodeAt(i);
    else buf.latin1Write(text, start, length);
    // Characters beyond latin1 lose their high byte on the way out, which could turn them into a line break. Nothing
    // that would split a message at the next hop leaves here (RFC 9110 section 5.5: replace with a space).
    let low = 0;
    for (let p = start; p < end; p++) low |= buf[p] - 0x0e;
    if (low < 0) replaceBreaks(buf, start, end);
    this.pos = end;
  }

  private insert(name: string, value: string): void {
    const size = name.length + value.length + FIELD_OVERHEAD_BYTES;
    this.evict(size);
    this.byValue ??= new Map();
    this.nameSequence ??= new Map();
    const entry: Entry = { name, value, sequence: ++this.inserted, older: this.byValue.get(value) };
    this.entries.push(entry);
    this.byValue.set(value, entry);
    if (this.nameSequence.size >= NAMES) this.nameSequence.clear();
    this.nameSequence.set(name, entry.sequence);
    this.size += size;
  }

  private evict(room: number): void {
    while (this.first < this.entries.length && this.size + room > this.maxSize) {
      const oldest = this.entries[this.first++];
      this.size -= oldest.name.length + oldest.value.length + FIELD_OVERHEAD_BYTES;
      this.forget(oldest);
    }
    // Moving the rest down only when at least half is dead keeps this constant per insertion.
    if (this.first > 64 && this.first * 2 > this.entries.length) {
      this.entries.splice(0, this.first);
      this.first = 0;
    }
  }

  private forget(oldest: Entry): void {
    let entry = this.byValue?.get(oldest.value);
    if (entry === oldest) {
      this.byValue?.delete(oldest.value);
      return;
    }
    while (entry !== undefined) {
      if (entry.older === oldest) {
        entry.older = undefined;
        return;
      }
      entry = entry.older;
    }
  }
}

/** What is a line break, or may become one when it is cut to a byte. */
const MAY_BREAK = /[\0\n\r\u0100-\uffff]/;

/** The latin1 string that leaves in place of one that could end a line. */
function withoutBreaks(text: string): string {
  const bytes = Buffer.from(text, 'latin1');
  replaceBreaks(bytes, 0, bytes.length);
  return bytes.latin1Slice();
}

function replaceBreaks(buf: Buffer, start: number, end: number): void {
  for (let p = start; p < end; p++) if (buf[p] === 0x0d || buf[p] === 0x0a || buf[p] === 0) buf[p] = 0x20;
}
