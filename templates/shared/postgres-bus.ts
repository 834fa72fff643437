import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { Queryable } from './database.ts';
import type { Log } from './log.ts';

/** What bus/migrations/ makes in the database; `postgresBus()` of mesh.config.ts applies it. */

export interface BusMessage {
  readonly topic: string;
  /** Messages of one key are handled in the order in which they were published. */
  readonly key: string;
  readonly payload: unknown;
  readonly headers: Readonly<Record<string, string>>;
  /** Grows from message to message of a partition, and is the same whenever a message is delivered. */
  readonly position: number;
  readonly publishedAt: Date;
  /** 1 for the first delivery by this consumer. */
  readonly attempt: number;
}

/** Resolves when the message is handled for good. If it rejects, the message comes again, and what follows it waits. */
export type MessageHandler = (message: BusMessage) => Promise<void>;

export interface SubscribeOptions {
  /** BUS_URL. */
  readonly url: string;
  /** Consumers of one group share the messages; each group gets all. */
  readonly group: string;
  readonly topics: readonly string[];
  readonly log: Log;
  /** Where a group that is new begins. Default: `start`. */
  readonly from?: 'start' | 'now';
  /** Tries after which a message goes to mesh_bus.dead_letters and what follows it is handled; 0: no end. Default: 10. */
  readonly maxAttempts?: number;
  /** Time after which a consumer that does not stir loses its partitions; one that died loses them at once. Default: 10,000. */
  readonly leaseMs?: number;
  /** Messages fetched at a time, from each partition. Default: 100. */
  readonly batch?: number;
}

export interface Subscription {
  /** Resolves when the consumer has its first share of the messages. */
  readonly ready: Promise<void>;
  /** Ends when the messages being handled are. */
  close(): Promise<void>;
}

/** Part of the caller's transaction: what is rolled back was never published. */
export async function publish(
  tx: Queryable,
  topic: string,
  key: string,
  payload: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  await tx.query('SELECT mesh_bus.publish($1, $2, $3, $4)', [
    topic,
    key,
    JSON.stringify(payload),
    JSON.stringify(headers),
  ]);
}

/** Delivers messages until it is closed; a database that is away is waited for. */
export function subscribe(options: SubscribeOptions, handle: MessageHandler): Subscription {
  const consumer = new Consumer(options, handle);
  const running = consumer.run();
  return {
    ready: consumer.ready,
    async close() {
      consumer.stop();
      await running;
    },
  };
}

interface Partition {
  readonly topic: string;
  readonly partition: number;
  readonly epoch: number;
  /** Position of the last message handled. */
  handled: number;
  /** Of the message that is due: how often it failed. */
  failures: number;
  notBeforeMs: number;
}

interface Row {
  topic: string;
  partition: number;
  key: string;
  payload: unknown;
  headers: Record<string, string>;
  position: string;
  published_at: Date;
}

/** Messages can come without a notification only if one was lost with its connection. */
const POLL_MS = 1_000;
/** A partition confirms at least so often. */
const BATCH_MS = 500;
const CLEAN_INTERVAL_MS = 600_000;
const KEPT = '7 days';
const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 10_000;

/** A consumer: its connection, its leases, and the messages under way. */
class Consumer {
  readonly ready: Promise<void>;
  private settleReady!: () => void;
  private readonly options: Required<SubscribeOptions>;
  private readonly handle: MessageHandler;
  private readonly held = new Map<string, Partition>();
  /** By partition, each with its messages one after another. */
  private readonly working = new Map<Partition, Promise<void>>();
  private stopped = false;
  private lost: Error | null = null;
  private woken = false;
  private wake: () => void = () => {};

  constructor(options: SubscribeOptions, handle: MessageHandler) {
    this.options = { from: 'start', maxAttempts: 10, leaseMs: 10_000, batch: 100, ...options };
    this.handle = handle;
    this.ready = new Promise((resolve) => {
      this.settleReady = resolve;
    });
  }

  stop(): void {
    this.stopped = true;
    this.stir();
  }

  async run(): Promise<void> {
    const { log, url, leaseMs, topics } = this.options;
    for (let failures = 0; !this.stopped; ) {
      // A query that hangs is no better than a connection that is gone.
      const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000, query_timeout: leaseMs });
      this.lost = null;
      client.on('error', (error) => this.lose(error));
      client.on('notification', ({ payload }) => {
        if (topics.includes(payload ?? '')) this.stir();
      });
      try {
        await client.connect();
        await client.query('LISTEN mesh_bus');
        failures = 0;
        await this.consume(client, randomUUID());
      } catch (error) {
        if (!this.stopped) log.warn('bus: the connection was lost', { error: (error as Error).message });
      }
      await client.end().catch(() => {});
      if (!this.stopped) await this.pause(backoffMs(++failures));
    }
  }

  /** On one connection: takes its share, fetches, hands over, and waits to be woken. */
  private async consume(client: pg.Client, id: string): Promise<void> {
    const { leaseMs } = this.options;
    const renewMs = leaseMs / 4;
    // Beside the loop, which a message that takes long does not hold up either.
    const renewal = setInterval(() => {
      client.query("SELECT mesh_bus.renew($1, $2 * interval '1 millisecond')", [id, leaseMs]).catch((error: Error) => {
        this.lose(error);
      });
    }, renewMs);
    let sharedMs = Number.NEGATIVE_INFINITY;
    let cleanedMs = performance.now();
    try {
      while (!this.stopped) {
        if (this.lost !== null) throw this.lost;
        this.woken = false;
        if (performance.now() - sharedMs >= renewMs) {
          await this.share(client, id);
          sharedMs = performance.now();
          this.settleReady();
        }
        await this.fetch(client, id);
        if (performance.now() - cleanedMs > CLEAN_INTERVAL_MS) {
          cleanedMs = performance.now();
          await client.query('SELECT mesh_bus.clean($1)', [KEPT]);
        }
        if (!this.woken) await this.pause(Math.max(1, Math.min(POLL_MS, this.nextDueMs() - performance.now())));
      }
    } finally {
      clearInterval(renewal);
      // Nothing of this session may still be under way when the next one delivers the same messages.
      await Promise.all(this.working.values());
      this.held.clear();
      await release(client, id);
    }
  }

  private async share(client: pg.Client, id: string): Promise<void> {
    const { group, topics, leaseMs, from } = this.options;
    const busy = [...this.working.keys()].map((p) => `${p.topic}/${p.partition}`);
    const { rows } = await client.query<{ topic: string; partition: number; handled: string; epoch: string }>(
      "SELECT * FROM mesh_bus.share($1, $2, $3, $4, $5 * interval '1 millisecond', $6)",
      [id, group, topics, busy, leaseMs, from === 'start'],
    );
    const now = new Set<string>();
    for (const { topic, partition, handled, epoch } of rows) {
      const name = `${topic}/${partition}`;
      now.add(name);
      // One that went to somebody else and came back is another lease.
      if (this.held.get(name)?.epoch === Number(epoch)) continue;
      const fresh = { topic, partition, epoch: Number(epoch), handled: Number(handled), failures: 0, notBeforeMs: 0 };
      this.held.set(name, fresh);
    }
    for (const name of [...this.held.keys()]) if (!now.has(name)) this.held.delete(name);
  }

  /** The next messages of each partition that is held, idle and not backing off. */
  private async fetch(client: pg.Client, id: string): Promise<void> {
    const due = [...this.held.values()].filter((p) => !this.working.has(p) && p.notBeforeMs <= performance.now());
    if (due.length === 0) return;
    const { rows } = await client.query<Row>(
      `SELECT m.topic, m.partition, m.key, m.payload, m.headers, m.position, m.published_at
       FROM unnest($1::text[], $2::smallint[], $3::bigint[]) AS due (topic, partition, handled)
       CROSS JOIN LATERAL (
         SELECT * FROM mesh_bus.messages
         WHERE topic = due.topic AND partition = due.partition AND position > due.handled
         ORDER BY position LIMIT $4
       ) m ORDER BY m.position`,
      [due.map((p) => p.topic), due.map((p) => p.partition), due.map((p) => p.handled), this.options.batch],
    );
    for (const partition of due) {
      const mine = rows.filter((row) => row.topic === partition.topic && row.partition === partition.partition);
      if (mine.length === 0) continue;
      const work = this.work(client, id, partition, mine).finally(() => {
        this.working.delete(partition);
        this.stir();
      });
      this.working.set(partition, work);
    }
  }

  /** Hands messages over in order and confirms what was handled. Never rejects. */
  private async work(client: pg.Client, id: string, partition: Partition, rows: readonly Row[]): Promise<void> {
    const before = partition.handled;
    const startedMs = performance.now();
    try {
      for (const row of rows) {
        // What is left is fetched again, by whoever holds the partition then.
        if (this.stopped || this.lost !== null || performance.now() - startedMs > BATCH_MS) break;
        if (!(await this.handOver(client, partition, row))) break;
        partition.handled = Number(row.position);
      }
      if (partition.handled !== before) await this.confirm(client, id, partition);
    } catch (error) {
      this.lose(error as Error);
    }
  }

  /** Whether the partition may go on to the next message. */
  private async handOver(client: pg.Client, partition: Partition, row: Row): Promise<boolean> {
    const { log, group, maxAttempts } = this.options;
    const { topic, key, payload, headers } = row;
    const position = Number(row.position);
    const attempt = partition.failures + 1;
    let text: string;
    try {
      await this.handle({ topic, key, payload, headers, position, publishedAt: row.published_at, attempt });
      partition.failures = 0;
      return true;
    } catch (error) {
      text = error instanceof Error ? error.message : String(error);
    }
    log.warn('bus: a message was not handled', { group, topic, key, position, attempt, error: text });
    if (maxAttempts > 0 && attempt >= maxAttempts) {
      await client.query(
        `INSERT INTO mesh_bus.dead_letters (consumer_group, topic, key, payload, headers, position, attempts, error)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
        [group, topic, key, JSON.stringify(payload), JSON.stringify(headers), position, attempt, text],
      );
      partition.failures = 0;
      return true;
    }
    partition.failures = attempt;
    partition.notBeforeMs = performance.now() + backoffMs(attempt);
    return false;
  }

  /** Moves the offset, if the lease is still the one under which the messages were handled. */
  private async confirm(client: pg.Client, id: string, partition: Partition): Promise<void> {
    const { topic, partition: number, epoch, handled } = partition;
    const { rowCount } = await client.query(
      `UPDATE mesh_bus.leases SET handled = $6
       WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND holder = $4 AND epoch = $5`,
      [this.options.group, topic, number, id, epoch, handled],
    );
    if (rowCount === 1) return;
    this.held.delete(`${topic}/${number}`);
    this.options.log.warn('bus: a partition went to another consumer', { topic, partition: number });
  }

  /** When the first partition that backs off is due. */
  private nextDueMs(): number {
    return Math.min(
      ...[...this.held.values()].filter((p) => p.failures > 0 && !this.working.has(p)).map((p) => p.notBeforeMs),
    );
  }

  private lose(error: Error): void {
    this.lost ??= error;
    this.stir();
  }

  private stir(): void {
    this.woken = true;
    this.wake();
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

const backoffMs = (failures: number): number => Math.min(FIRST_BACKOFF_MS * 2 ** (failures - 1), LONGEST_BACKOFF_MS);

/** So that others need not wait for the lease to end. */
async function release(client: pg.Client, id: string): Promise<void> {
  await client
    .query("UPDATE mesh_bus.leases SET holder = NULL, until = '-infinity' WHERE holder = $1", [id])
    .then(() => client.query('DELETE FROM mesh_bus.consumers WHERE id = $1', [id]))
    .catch(() => {
      // The session is gone, and with it the leases.
    });
}
