import { classifyName, FIELD_OVERHEAD_BYTES, type Field, type FieldKind, isLegalValue } from './field.ts';
import { decodeHuffman, maxDecodedBytes } from './huffman.ts';
import { readInteger } from './integer.ts';
import { KNOWN_NAMES, STATIC_ENTRIES, STATIC_TABLE } from './static-table.ts';

/** Takes the fields of a header block in the order they came. */
export interface FieldSink {
  /** `neverIndexed`: the sender asked for this field never to be put into a table (RFC 7541 section 6.2.3). */
  field(kind: FieldKind, name: string, value: string, valid: boolean, neverIndexed: boolean): void;
}

/** SETTINGS_HEADER_TABLE_SIZE before any SETTINGS (RFC 9113 section 6.5.2). */
const DEFAULT_TABLE_BYTES = 4096;

const NO_FIELDS: Field[] = [];

/** Where Huffman-coded strings are decoded to; grows to the longest one met and belongs to no connection. */
let scratch = Buffer.allocUnsafeSlow(1024);

/**
 * The receiving half of HPACK (RFC 7541): header blocks to fields, with the dynamic table of one direction of one
 * connection. Entries are shared objects, so a field that repeats allocates nothing.
 *
 * Every string that reaches a sink was paid for by bytes of the block or already sits in the table: references to a
 * large entry cost one byte each but hold no memory, and the sink counts them (the HPACK bomb).
 */
export class HpackDecoder {
  /** Read position; public because the integer reader moves it. */
  pos = 0;
  /** Ring of entries: newest at `newest`, older ones at lower places modulo its length, a power of two. */
  private ring: Field[] = NO_FIELDS;
  private newest = -1;
  private count = 0;
  private size = 0;
  /** What the sender's size updates set it to, at most `limit`. */
  private maxSize: number;
  private limit: number;
  private updateDue = false;

  /** `tableBytes`: the most that the sender may set its table to. */
  constructor(tableBytes: number) {
    this.limit = tableBytes;
    // The sender begins with the protocol's table, however large a one it may have later.
    this.maxSize = Math.min(tableBytes, DEFAULT_TABLE_BYTES);
  }

  /** Bytes in the dynamic table as section 4.1 counts them. */
  get tableBytes(): number {
    return this.size;
  }

  /**
   * The sender has acknowledged a SETTINGS_HEADER_TABLE_SIZE of `bytes`. Below the size in use, its next block has to
   * begin with an update (section 4.2).
   */
  setLimit(bytes: number): void {
    this.limit = bytes;
    if (bytes < this.maxSize) this.updateDue = true;
  }

  /** Decodes a whole block. False: it is broken, and so is the connection (COMPRESSION_ERROR). */
  decode(buf: Buffer, start: number, end: number, sink: FieldSink): boolean {
    this.pos = start;
    let updatesAllowed = true;
    while (this.pos < end) {
      const byte = buf[this.pos];
      if (byte & 0x80) {
        const index = byte === 0xff ? readInteger(buf, this, end, 0x7f) : byte & 0x7f;
        if (byte !== 0xff) this.pos++;
        const field = this.at(index);
        if (field === undefined || this.updateDue) return false;
        sink.field(field.kind, field.name, field.value, field.valid, false);
      } else if ((byte & 0xe0) === 0x20) {
        const bytes = readInteger(buf, this, end, 0x1f);
        if (!updatesAllowed || bytes < 0 || bytes > this.limit) return false;
        this.maxSize = bytes;
        this.updateDue = false;
        this.evict(0);
        continue;
      } else if (this.updateDue || !this.literal(buf, end, byte, sink)) {
        return false;
      }
      updatesAllowed = false;
    }
    // Not to keep a whole read of the socket alive while the connection is idle.
    this.textIn = scratch;
    return true;
  }

  private literal(buf: Buffer, end: number, byte: number, sink: FieldSink): boolean {
    const indexed = (byte & 0x40) !== 0;
    const index = readInteger(buf, this, end, indexed ? 0x3f : 0x0f);
    let name: string;
    let kind: FieldKind;
    if (index > 0) {
      const field = this.at(index);
      if (field === undefined) return false;
      name = field.name;
      kind = field.kind;
    } else {
      if (index < 0) return false;
      const text = this.string(buf, end);
      if (text === null) return false;
      const known = KNOWN_NAMES.get(text);
      name = known === undefined ? text : known.name;
      kind = known === undefined ? classifyName(text) : known.kind;
    }
    const value = this.string(buf, end);
    if (value === null) return false;
    const valid = isLegalValue(kind, this.textIn, this.textStart, this.textEnd);
    if (indexed) this.insert({ name, value, kind, valid });
    sink.field(kind, name, value, valid, (byte & 0x50) === 0x10);
    return true;
  }

  /** Where the bytes of the string read last lie, for checks that are cheaper on bytes than on characters. */
  private textIn: Buffer = scratch;
  private textStart = 0;
  private textEnd = 0;

  private string(buf: Buffer, end: number): string | null {
    const huffman = this.pos < end && (buf[this.pos] & 0x80) !== 0;
    const length = readInteger(buf, this, end, 0x7f);
    const start = this.pos;
    if (length < 0 || length > end - start) return null;
    this.pos = start + length;
    if (!huffman) {
      this.textIn = buf;
      this.textStart = start;
      this.textEnd = this.pos;
      return length === 0 ? '' : buf.latin1Slice(start, this.pos);
    }
    if (scratch.length < maxDecodedBytes(length)) scratch = Buffer.allocUnsafeSlow(maxDecodedBytes(length) * 2);
    const n = decodeHuffman(buf, start, this.pos, scratch);
    if (n < 0) return null;
    this.textIn = scratch;
    this.textStart = 0;
    this.textEnd = n;
    return n === 0 ? '' : scratch.latin1Slice(0, n);
  }

  private at(index: number): Field | undefined {
    if (index <= STATIC_ENTRIES) return index > 0 ? STATIC_TABLE[index] : undefined;
    const age = index - STATIC_ENTRIES - 1;
    return age < this.count ? this.ring[(this.newest - age) & (this.ring.length - 1)] : undefined;
  }

  private insert(field: Field): void {
    const size = field.name.length + field.value.length + FIELD_OVERHEAD_BYTES;
    this.evict(size);
    // Section 4.4: an entry larger than the table empties it and is not an error.
    if (size > this.maxSize) return;
    if (this.count === this.ring.length) this.grow();
    this.newest = (this.newest + 1) & (this.ring.length - 1);
    this.ring[this.newest] = field;
    this.count++;
    this.size += size;
  }

  private evict(room: number): void {
    while (this.count > 0 && this.size + room > this.maxSize) {
      const place = (this.newest - this.count + 1) & (this.ring.length - 1);
      const oldest = this.ring[place];
      this.size -= oldest.name.length + oldest.value.length + FIELD_OVERHEAD_BYTES;
      this.ring[place] = STATIC_TABLE[0];
      this.count--;
    }
  }

  private grow(): void {
    const old = this.ring;
    const ring: Field[] = new Array(Math.max(8, old.length * 2)).fill(STATIC_TABLE[0]);
    for (let age = 0; age < this.count; age++) {
      ring[this.count - 1 - age] = old[(this.newest - age) & (old.length - 1)];
    }
    this.ring = ring;
    this.newest = this.count - 1;
  }
}
