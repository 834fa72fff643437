import { setTimeout as delay } from 'node:timers/promises';
import { deliver, type OutboxRow, ROW } from './outbox-delivery.ts';
import { type Change, openReplication, parseLsn, type ReplicationStream } from './outbox-replication.ts';
import { announce, backoffMs, type RelaySession } from './outbox-session.ts';
import { prepareSlot } from './outbox-slot.ts';

const LEAD_MS = 200;
const SLOT_MS = 50;
const VISIBLE_MS = 1;
const BATCH = 500;
const BATCH_BYTES = 4 << 20;
/** Not read further while so much waits. */
const QUEUE_ROWS = 4 * BATCH;
const QUEUE_BYTES = 4 * BATCH_BYTES;
/** The server ends a connection from which it heard nothing for a minute (`wal_sender_timeout`). */
const SIGN_OF_LIFE_MS = 10_000;

/**
 * Follows the log of the database: events come in order of commits, a few milliseconds after these. What is published is
 * confirmed to the slot afterwards, so a relay that dies leaves the rest, and what it had not confirmed, to the next one.
 */
export async function followWal(session: RelaySession): Promise<void> {
  const { client, name, delivery, status, signal } = session;
  if (!(await takeLead(session))) return;
  await announce(client, name, 'wal');
  const { caughtUp, confirmedLsn } = await prepareSlot(client, name);
  status.role = 'active';
  delivery.log.info('relaying', { slot: name, confirmedLsn, caughtUp });
  if (!caughtUp && !(await catchUp(session))) return;
  const { rows } = await client.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
  // What was committed until now another relay may have published, or we when catching up; what comes later, nobody.
  await new Follower(session, parseLsn(confirmedLsn), parseLsn(rows[0].lsn)).run();
  if (!signal.aborted) throw new Error('the replication ended');
}

/** One relay is at work, the others wait here: the lock goes with the connection of who has it. False: stopped before. */
async function takeLead({ client, name, status, signal }: RelaySession): Promise<boolean> {
  while (!signal.aborted) {
    const { rows } = await client.query<{ leads: boolean }>(
      'SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS leads',
      [`outbox ${name}`],
    );
    if (rows[0].leads) return true;
    status.role = 'standby';
    await delay(LEAD_MS, undefined, { signal }).catch(() => {});
  }
  return false;
}

/** Publishes what was committed before the slot existed, which the log will not tell. False: stopped before the end. */
async function catchUp(session: RelaySession): Promise<boolean> {
  const { client, name } = session;
  const { rows: range } = await client.query<{ last: string | null }>(
    'SELECT max(position)::text AS last FROM outbox WHERE published_at IS NULL',
  );
  for (;;) {
    const { rows } = await client.query<OutboxRow>(
      `SELECT ${ROW} FROM outbox WHERE published_at IS NULL AND position <= $1 ORDER BY position LIMIT $2`,
      [range[0].last, BATCH],
    );
    if (rows.length === 0) break;
    if (!(await deliverAll(session, rows))) return false;
  }
  await client.query('UPDATE outbox_relays SET caught_up = true WHERE name = $1', [name]);
  return true;
}

/** Until all is published or given up. False: stopped before. */
async function deliverAll(session: RelaySession, rows: readonly OutboxRow[]): Promise<boolean> {
  const { client, delivery, status, signal } = session;
  let left = rows;
  for (let failures = 0; left.length > 0; ) {
    if (signal.aborted) return false;
    const delivered = await deliver(client, left, delivery);
    left = delivered.left;
    status.published += delivered.published;
    status.problem = delivered.error?.message ?? null;
    if (left.length === 0) break;
    failures = delivered.published > 0 ? 1 : failures + 1;
    if (failures === 1) delivery.log.warn('events wait', { events: left.length, error: status.problem });
    await delay(backoffMs(failures), undefined, { signal }).catch(() => {});
  }
  return true;
}

/**
 * A commit is in the log a moment before others see it, or longer where it waits for a replica. Whoever hears of an event
 * shall see what it tells of, and we shall see the row that we mark. False: stopped before.
 */
async function untilVisible({ client, signal }: RelaySession, items: readonly RowItem[]): Promise<boolean> {
  const xids = new Set(items.map(({ transaction }) => transaction.xid));
  while (xids.size > 0 && !signal.aborted) {
    const { rows } = await client.query<{ snapshot: string }>('SELECT pg_current_snapshot()::text AS snapshot');
    const runs = runningIn(rows[0].snapshot);
    for (const xid of xids) if (!runs(xid)) xids.delete(xid);
    if (xids.size > 0) await delay(VISIBLE_MS, undefined, { signal }).catch(() => {});
  }
  return xids.size === 0;
}

/** @param snapshot `xmin:xmax:xip,xip`, 64 bits each; a transaction in the log has the lower 32 */
function runningIn(snapshot: string): (xid: number) => boolean {
  const [, xmax, running] = snapshot.split(':');
  const low = (text: string): number => Number(BigInt(text) & 0xffffffffn);
  const ids = new Set(running.split(',').filter(Boolean).map(low));
  const next = low(xmax);
  // Numbers wrap around: what is ahead by less than half of them is later.
  return (xid) => ids.has(xid) || ((xid - next) | 0) >= 0;
}

type Item =
  | RowItem
  /** The end of a transaction. */
  | { readonly endLsn: bigint };

interface RowItem {
  readonly row: OutboxRow;
  readonly transaction: Transaction;
}

interface Transaction {
  readonly commitLsn: bigint;
  readonly xid: number;
}

/** A replication connection, and what came over it and is not published yet. */
class Follower {
  private readonly queue: Item[] = [];
  private queuedRows = 0;
  private queuedBytes = 0;
  private paused = false;
  /** Of the transaction that is coming in; null between two. */
  private open: Transaction | null = null;
  private publishing = false;
  private stream: ReplicationStream | null = null;
  private wake: () => void = () => {};

  constructor(
    private readonly session: RelaySession,
    private confirmedLsn: bigint,
    /** Events committed before may be published already. */
    private readonly doubtLsn: bigint,
  ) {}

  /** Resolves when it is stopped. @throws if the connection breaks, or the database of the outbox is away */
  async run(): Promise<void> {
    const { signal } = this.session;
    const stream = await this.connect();
    if (stream === null) return;
    this.stream = stream;
    let broken = false;
    stream.ended.catch(() => {
      broken = true;
      this.wake();
    });
    const stirred = (): void => this.wake();
    signal.addEventListener('abort', stirred);
    const life = setInterval(() => stream.confirm(this.confirmedLsn), SIGN_OF_LIFE_MS);
    try {
      while (!signal.aborted && !broken) {
        if (this.queue.length > 0) await this.publishNext();
        else
          await new Promise<void>((resolve) => {
            this.wake = resolve;
          });
      }
      if (broken) await stream.ended;
    } finally {
      clearInterval(life);
      signal.removeEventListener('abort', stirred);
      await stream.close();
    }
  }

  /** The slot of a relay that died is free when the server has noticed. */
  private async connect(): Promise<ReplicationStream | null> {
    const { url, name, signal } = this.session;
    for (;;) {
      const stream = await openReplication({
        url,
        slot: name,
        publication: name,
        onChange: (change) => this.take(change),
        onPosition: (lsn) => this.pass(lsn),
      });
      const failure = await Promise.race([stream.ended.catch((error: Error) => error), stream.started]);
      if (failure === undefined) return stream;
      await stream.close();
      if (signal.aborted) return null;
      if ((failure as { code?: string }).code !== '55006') throw failure;
      await delay(SLOT_MS, undefined, { signal }).catch(() => {});
    }
  }

  private take(change: Change): void {
    switch (change.kind) {
      case 'begin':
        this.open = change;
        return;
      case 'insert': {
        const row = change.row as unknown as OutboxRow;
        this.queue.push({ row, transaction: this.open! });
        this.queuedRows++;
        this.queuedBytes += row.payload.length;
        break;
      }
      case 'commit':
        this.open = null;
        this.queue.push({ endLsn: change.endLsn });
    }
    if (!this.paused && (this.queuedRows > QUEUE_ROWS || this.queuedBytes > QUEUE_BYTES)) {
      this.paused = true;
      this.stream?.pause();
    }
    this.wake();
  }

  /** The log went on without anything for us: it need not be kept for our sake. */
  private pass(lsn: bigint): void {
    const idle = this.queue.length === 0 && this.open === null && !this.publishing;
    if (idle && lsn > this.confirmedLsn) this.confirmedLsn = lsn;
    this.stream?.confirm(this.confirmedLsn);
  }

  private async publishNext(): Promise<void> {
    this.publishing = true;
    const { rows, endLsn } = this.nextBatch();
    const visible = await untilVisible(this.session, rows);
    const done = visible && (await deliverAll(this.session, await this.unpublished(rows)));
    this.publishing = false;
    if (done && endLsn !== null) {
      this.confirmedLsn = endLsn;
      this.stream?.confirm(endLsn);
    }
    if (this.paused && this.queuedRows < QUEUE_ROWS / 2 && this.queuedBytes < QUEUE_BYTES / 2) {
      this.paused = false;
      this.stream?.resume();
    }
  }

  private nextBatch(): { rows: RowItem[]; endLsn: bigint | null } {
    const rows: RowItem[] = [];
    let endLsn: bigint | null = null;
    let bytes = 0;
    let count = 0;
    for (const item of this.queue) {
      if ('row' in item) {
        if (rows.length === BATCH || bytes > BATCH_BYTES) break;
        rows.push(item);
        bytes += item.row.payload.length;
      } else endLsn = item.endLsn;
      count++;
    }
    this.queue.splice(0, count);
    this.queuedRows -= rows.length;
    this.queuedBytes -= bytes;
    return { rows, endLsn };
  }

  private async unpublished(items: readonly RowItem[]): Promise<OutboxRow[]> {
    const doubtful = items.filter(({ transaction }) => transaction.commitLsn <= this.doubtLsn).map(({ row }) => row.id);
    if (doubtful.length === 0) return items.map(({ row }) => row);
    const { rows } = await this.session.client.query<{ id: string }>(
      'SELECT id::text FROM outbox WHERE id = ANY ($1::uuid[]) AND published_at IS NULL',
      [doubtful],
    );
    const waiting = new Set(rows.map(({ id }) => id));
    return items
      .filter(({ row, transaction }) => transaction.commitLsn > this.doubtLsn || waiting.has(row.id))
      .map(({ row }) => row);
  }
}
