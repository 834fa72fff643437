import * as fs from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { problem } from '../../model/errors.ts';
import type { ProxySpan } from '../../model/proxy-span.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import type { TraceEdges, TraceQuery, TraceSummary } from '../../model/trace.ts';
import type { Clock, Timer } from '../clock.ts';
import { storageProblem } from '../state/mesh-directory.ts';
import {
  type Location,
  type ServiceLog,
  type ServiceSpan,
  type SpanPlace,
  TraceIndex,
  type TraceRecord,
} from './trace-index.ts';

const MIB = 1024 * 1024;
/** Spans are written together so often: those of one trace mostly come close together, and then lie together. */
const WRITE_INTERVAL_MS = 500;
/** After a failed write the disk is left alone so long. */
const RETRY_AFTER_MS = 10_000;
/** Spans and log records that wait to be written; more are left out. */
const MOST_PENDING = 20_000;
/** Kept between writes. */
const MOST_BUFFER_BYTES = MIB;
/** Length and checksum before each record. */
const HEAD_BYTES = 8;
/** A record longer than this was not written by us. */
const MOST_RECORD_BYTES = 64 * MIB;
const SEGMENT_NAME = /^(\d{8})\.traces$/;

export interface TraceStoreOptions {
  /** `.mesh/traces`; made when there is something to keep. */
  directory: string;
  clock: Clock;
  /** A disk that is full, or the like; told once until it works again. */
  onProblem: (problem: Problem) => void;
  /** Of all segments. Default: 64 MiB. */
  maxBytes?: number;
  /** Default: 4 MiB. */
  segmentBytes?: number;
  /** Traces known at a time, which bounds memory. Default: 40,000. */
  maxTraces?: number;
}

interface Segment {
  readonly number: number;
  bytes: number;
  readonly traceIds: Set<string>;
}

/**
 * Traces on disk: segments of records that are only appended to, each record with its length and checksum, so that what
 * a crash tore off is seen and left out. Where each trace lies is known in memory and found out anew at the start. The
 * oldest segment goes when there is too much. A disk that fails stops the store and nothing else.
 */
export class TraceStore {
  /** Spans and log records left out because the disk was too slow or failed. */
  dropped = 0;
  private readonly options: Required<TraceStoreOptions>;
  private readonly index = new TraceIndex();
  /** In order of age. */
  private segments: Segment[] = [];
  private file: fs.FileHandle | null = null;
  /** Records on their way to the file, one after another. */
  private buffer = Buffer.alloc(0);
  private pending = new Map<string, TraceRecord>();
  private pendingItems = 0;
  private timer: Timer | null = null;
  private work: Promise<unknown>;
  private failedAtMs: number | null = null;
  private closed = false;

  constructor(options: TraceStoreOptions) {
    this.options = { maxBytes: 64 * MIB, segmentBytes: 4 * MIB, maxTraces: 40_000, ...options };
    this.work = this.load();
  }

  addProxySpans(spans: readonly ProxySpan[]): void {
    for (const span of spans) this.recordOf(span.traceId)?.proxies.push(span);
  }

  addSpans(spans: readonly ServiceSpan[]): void {
    for (const span of spans) this.recordOf(span.span.traceId)?.spans.push(span);
  }

  /** Log records that belong to a trace. */
  addLogs(logs: readonly ServiceLog[]): void {
    for (const log of logs) this.recordOf(log.log.traceId!)?.logs.push(log);
  }

  async query(query: TraceQuery): Promise<TraceSummary[]> {
    await this.flush();
    return this.index.query(query);
  }

  /** @param id of a trace or of a span in it, or the beginning of one of them only */
  async find(id: string): Promise<Result<string>> {
    await this.flush();
    const wanted = id.toLowerCase();
    let found = this.index.withPrefix(wanted, 4);
    // Spans are only looked at for what is no trace: a few digits mean one of the traces that are listed.
    if (found.length === 0) found = [...new Set(this.spans(wanted).map(({ traceId }) => traceId))];
    if (found.length === 1 && wanted !== '') return ok(found[0]);
    const hint = 'see `mesh trace` for those that there are';
    if (found.length === 0) return fail(problem('MESH-R140', { message: `there is no trace ${id}`, hint }));
    const some = found.slice(0, 3).map((each) => each.slice(0, 12));
    const message = `several traces begin with ${id || 'that'}: ${some.join(', ')}${found.length > 3 ? ', ...' : ''}`;
    return fail(problem('MESH-R141', { message, hint: 'say more of it' }));
  }

  /**
   * The request, or the trace as a whole (`spanId` empty), that an ID or the beginning of one means. Of what services sent
   * themselves it may be a span of any kind.
   * @returns MESH-X101 where there is none, MESH-X102 where there are several
   */
  async findRequest(id: string): Promise<Result<SpanPlace>> {
    await this.flush();
    const wanted = id.toLowerCase();
    const valid = /^[0-9a-f]{1,32}$/.test(wanted);
    const traces = valid ? this.index.withPrefix(wanted, 4) : [];
    const requests = valid ? this.spans(wanted) : [];
    const whole = requests.filter(({ spanId }) => spanId === wanted);
    if (whole.length === 1) return ok(whole[0]);
    const found = [...traces.map((traceId) => ({ traceId, spanId: '' })), ...requests];
    if (found.length === 1) return ok(found[0]);
    if (found.length === 0) {
      const kept = this.index.entries.size;
      const shown = JSON.stringify(id.length > 60 ? `${id.slice(0, 60)}...` : id);
      const message = valid
        ? `no request and no trace with the ID ${shown} is kept`
        : `${shown} is no ID of a request: IDs are hexadecimal digits`;
      const are = kept === 1 ? '1 trace is kept' : `${kept} traces are kept`;
      return fail(problem('MESH-X101', { message, hint: are }));
    }
    const some = found.slice(0, 3).map(({ traceId, spanId }) => (spanId === '' ? `trace ${traceId}` : spanId));
    const message = `several requests or traces begin with ${wanted}: ${some.join(', ')}${found.length > 3 ? ', ...' : ''}`;
    return fail(problem('MESH-X102', { message, hint: 'give a few more digits' }));
  }

  /** Spans of proxies whose IDs begin so, or else of services. */
  private spans(prefix: string): SpanPlace[] {
    if (prefix === '' || prefix.length > 16) return [];
    const found = this.index.spansWithPrefix(prefix, 4, 'spanIds');
    return found.length > 0 ? found : this.index.spansWithPrefix(prefix, 4, 'ownSpanIds');
  }

  /** All that is known of a trace; null: none of that ID, or it has just been dropped for its age. */
  async read(traceId: string): Promise<TraceRecord | null> {
    await this.flush();
    const whole: TraceRecord = { traceId, proxies: [], spans: [], logs: [] };
    for (const location of this.index.entries.get(traceId)?.locations ?? []) {
      const record = await this.readRecord(location);
      if (record === null) continue;
      whole.proxies.push(...record.proxies);
      whole.spans.push(...record.spans);
      whole.logs.push(...record.logs);
    }
    return whole.proxies.length + whole.spans.length + whole.logs.length === 0 ? null : whole;
  }

  edgesAround(traceId: string): TraceEdges {
    return this.index.edgesAround(traceId);
  }

  /** Resolves when all that came in before is on disk, or was given up. */
  flush(): Promise<void> {
    const done = this.work.then(() => this.write());
    this.work = done.catch(() => undefined);
    return done;
  }

  async close(): Promise<void> {
    this.closed = true;
    if (this.timer !== null) this.options.clock.clearTimeout(this.timer);
    await this.flush();
    await this.file?.close().catch(() => undefined);
    this.file = null;
  }

  /** Null: there is no room. */
  private recordOf(traceId: string): TraceRecord | null {
    if (this.pendingItems >= MOST_PENDING || this.closed) {
      this.dropped++;
      return null;
    }
    this.pendingItems++;
    if (this.timer === null) {
      this.timer = this.options.clock.setTimeout(() => {
        this.timer = null;
        void this.flush();
      }, WRITE_INTERVAL_MS);
      this.timer.unref();
    }
    let record = this.pending.get(traceId);
    if (record === undefined) this.pending.set(traceId, (record = { traceId, proxies: [], spans: [], logs: [] }));
    return record;
  }

  private async write(): Promise<void> {
    if (this.pending.size === 0) return;
    const records = [...this.pending.values()];
    const items = this.pendingItems;
    this.pending = new Map();
    this.pendingItems = 0;
    const now = this.options.clock.now();
    if (this.failedAtMs !== null && Math.abs(now - this.failedAtMs) < RETRY_AFTER_MS) {
      this.dropped += items;
      return;
    }
    try {
      await this.append(records);
      this.failedAtMs = null;
    } catch (error) {
      this.dropped += items;
      if (this.failedAtMs === null) this.options.onProblem(storageProblem(this.options.directory, error));
      this.failedAtMs = now;
      // What a failed write left at the end would make all behind it unreadable.
      await this.endSegment();
    }
  }

  private async append(records: readonly TraceRecord[]): Promise<void> {
    for (let from = 0; from < records.length; ) {
      const segment = await this.openSegment();
      const places: { record: TraceRecord; location: Location }[] = [];
      let bytes = segment.bytes;
      for (; from < records.length && bytes < this.options.segmentBytes; from++) {
        const length = this.encode(records[from], bytes - segment.bytes);
        places.push({
          record: records[from],
          location: { segment: segment.number, offset: bytes, length },
        });
        bytes += length;
      }
      await this.file!.appendFile(this.buffer.subarray(0, bytes - segment.bytes));
      if (this.buffer.length > MOST_BUFFER_BYTES) this.buffer = Buffer.alloc(0);
      segment.bytes = bytes;
      for (const { record, location } of places) {
        segment.traceIds.add(record.traceId);
        this.index.add(record, location);
      }
      if (bytes >= this.options.segmentBytes) await this.endSegment();
      await this.makeRoom();
    }
  }

  /** Puts a record into the buffer at a position. @returns its length */
  private encode({ traceId, proxies, spans, logs }: TraceRecord, at: number): number {
    const text = JSON.stringify({ traceId, proxies, spans, logs });
    // A character takes three bytes at most (a surrogate pair four).
    const most = at + HEAD_BYTES + text.length * 3;
    if (most > this.buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(most, 2 * this.buffer.length));
      this.buffer.copy(larger, 0, 0, at);
      this.buffer = larger;
    }
    const start = at + HEAD_BYTES;
    const length = this.buffer.write(text, start);
    this.buffer.writeUInt32LE(length, at);
    this.buffer.writeUInt32LE(crc32(this.buffer.subarray(start, start + length)), at + 4);
    return HEAD_BYTES + length;
  }

  private async openSegment(): Promise<Segment> {
    const last = this.segments.at(-1);
    if (this.file !== null && last !== undefined) return last;
    await fs.mkdir(this.options.directory, { recursive: true, mode: 0o700 });
    const segment: Segment = { number: (last?.number ?? 0) + 1, bytes: 0, traceIds: new Set() };
    this.file = await fs.open(this.pathOf(segment.number), 'ax', 0o600);
    this.segments.push(segment);
    return segment;
  }

  private async endSegment(): Promise<void> {
    const { file } = this;
    this.file = null;
    await file?.close().catch(() => undefined);
  }

  private async makeRoom(): Promise<void> {
    const { maxBytes, maxTraces } = this.options;
    for (;;) {
      let bytes = 0;
      for (const segment of this.segments) bytes += segment.bytes;
      if (this.segments.length < 2 || (bytes <= maxBytes && this.index.entries.size <= maxTraces)) return;
      const oldest = this.segments.shift()!;
      this.index.forget(oldest.number, oldest.traceIds);
      await fs.rm(this.pathOf(oldest.number), { force: true });
    }
  }

  /** Finds out what earlier runs left. Each run begins a segment of its own, so a torn end is never written behind. */
  private async load(): Promise<void> {
    const names = await fs.readdir(this.options.directory).catch(() => []);
    const numbers = names.flatMap((name) => SEGMENT_NAME.exec(name)?.[1] ?? []).map(Number);
    for (const number of numbers.sort((a, b) => a - b)) {
      const content = await fs.readFile(this.pathOf(number)).catch(() => null);
      if (content === null) continue;
      const segment: Segment = { number, bytes: content.length, traceIds: new Set() };
      for (const { record, offset, length } of recordsOf(content)) {
        segment.traceIds.add(record.traceId);
        this.index.add(record, { segment: number, offset, length });
      }
      this.segments.push(segment);
      if (segment.traceIds.size > 0) continue;
      // Nothing in it can be read; its number stays taken until another run.
      segment.bytes = 0;
      await fs.rm(this.pathOf(number), { force: true }).catch(() => undefined);
    }
    await this.makeRoom().catch(() => undefined);
  }

  private async readRecord({ segment, offset, length }: Location): Promise<TraceRecord | null> {
    const file = await fs.open(this.pathOf(segment), 'r').catch(() => null);
    if (file === null) return null;
    try {
      const bytes = Buffer.alloc(length);
      await file.read(bytes, 0, length, offset);
      return decodeRecord(bytes, 0)?.record ?? null;
    } catch {
      return null;
    } finally {
      await file.close().catch(() => undefined);
    }
  }

  private pathOf(segment: number): string {
    return path.join(this.options.directory, `${String(segment).padStart(8, '0')}.traces`);
  }
}

/** Up to the first that is torn or damaged. */
function* recordsOf(bytes: Buffer): Generator<{ record: TraceRecord; offset: number; length: number }> {
  for (let offset = 0; ; ) {
    const found = decodeRecord(bytes, offset);
    if (found === null) return;
    yield { record: found.record, offset, length: found.length };
    offset += found.length;
  }
}

function decodeRecord(bytes: Buffer, offset: number): { record: TraceRecord; length: number } | null {
  if (offset + HEAD_BYTES > bytes.length) return null;
  const length = bytes.readUInt32LE(offset);
  const start = offset + HEAD_BYTES;
  if (length > MOST_RECORD_BYTES || start + length > bytes.length) return null;
  const payload = bytes.subarray(start, start + length);
  if (crc32(payload) !== bytes.readUInt32LE(offset + 4)) return null;
  try {
    return { record: JSON.parse(payload.toString('utf8')) as TraceRecord, length: HEAD_BYTES + length };
  } catch {
    return null;
  }
}
