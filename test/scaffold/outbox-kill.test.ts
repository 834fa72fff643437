// The relay of the template `outbox` with everything around it taken away at random.
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { addToOutbox } from '../../templates/outbox/common/outbox.ts';
import { createBusBroker } from '../../templates/outbox/common/outbox-bus.ts';
import { startRelay } from '../../templates/outbox/common/outbox-relay.ts';
import { openDatabase } from '../../templates/shared/database.ts';
import { createLog } from '../../templates/shared/log.ts';
import { type BusMessage, subscribe } from '../../templates/shared/postgres-bus.ts';
import { claimEvent } from '../../templates/shared/processed-events.ts';
import { eventually } from '../support/e2e.ts';
import {
  BUS_TABLES,
  createMortalServer,
  kill,
  type MortalServer,
  OUTBOX_TABLES,
  runSql,
  spawnRelay,
} from '../support/outbox.ts';

/** For each way of relaying: OUTBOX_KILL_MS=600000 for a night's worth. */
const KILLING_MS = Number(process.env.OUTBOX_KILL_MS ?? 8_000);
const AGGREGATES = 20;
const WRITERS = 4;
const silent = createLog('test', { LOG_LEVEL: 'none' });
const servers: MortalServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
});

async function startedServer(name: string, tables: string): Promise<MortalServer | null> {
  const server = await createMortalServer(name);
  if (server === null) return null;
  servers.push(server);
  await server.start();
  await runSql(server.url, tables);
  return server;
}

const WORK_TABLES = `
  CREATE TABLE aggregates (id text PRIMARY KEY, n integer NOT NULL DEFAULT 0, amount bigint NOT NULL DEFAULT 0);
  INSERT INTO aggregates (id) SELECT 'a' || g FROM generate_series(1, ${AGGREGATES}) g;
  CREATE TABLE processed_events (event_id text PRIMARY KEY, type text NOT NULL, processed_at timestamptz DEFAULT now());
  CREATE TABLE effects (id text PRIMARY KEY, n integer NOT NULL, amount bigint NOT NULL);
  INSERT INTO effects SELECT id, n, amount FROM aggregates;
`;

const between = (least: number, most: number): number => least + Math.random() * (most - least);

describe('a relay that is killed again and again, and its broker', () => {
  it.each(['wal', 'polling'] as const)(
    'loses nothing and keeps the order of each aggregate: %s',
    {
      timeout: KILLING_MS + 18_000,
    },
    async (mode) => {
      const source = await startedServer('source', OUTBOX_TABLES + WORK_TABLES);
      if (source === null) return;
      const bus = (await startedServer('bus', BUS_TABLES))!;
      const database = openDatabase(source.url, silent);
      const violations: string[] = [];
      let deliveries = 0;
      let over = false;

      const consume = async ({ key, headers, payload }: BusMessage): Promise<void> => {
        const { n, amount } = payload as { n: number; amount: number };
        deliveries++;
        await database.transaction(async (tx) => {
          if (!(await claimEvent(tx, headers.id, headers.type))) return;
          // The first time that an event comes it has to be the next of its aggregate.
          const next = 'UPDATE effects SET n = $2, amount = amount + $3 WHERE id = $1 AND n = $2 - 1';
          if ((await tx.query(next, [key, n, amount])).rowCount === 1) return;
          violations.push(`${key}: ${n} came out of order`);
          await tx.query('UPDATE effects SET amount = amount + $2 WHERE id = $1', [key, amount]);
        });
      };
      const write = async (): Promise<void> => {
        while (!over) {
          const id = `a${Math.ceil(Math.random() * AGGREGATES)}`;
          const amount = Math.ceil(Math.random() * 100);
          const undone = Math.random() < 0.1;
          await database
            .transaction(async (tx) => {
              const { rows } = await tx.query<{ n: number }>(
                'UPDATE aggregates SET n = n + 1, amount = amount + $2 WHERE id = $1 RETURNING n',
                [id, amount],
              );
              const payload = { n: rows[0].n, amount };
              await addToOutbox(tx, { aggregateType: 'thing', aggregateId: id, type: 'Changed', payload });
              if (undone) throw new Error('undone');
            })
            .catch((error: Error) => expect(error.message).toBe('undone'));
          await delay(between(0, 10));
        }
      };

      const name = 'killed_relay';
      const relay = (): ChildProcess => spawnRelay(mode, name, source.url, bus.url);
      const relays = [relay(), relay()];
      const subscription = subscribe(
        { url: bus.url, group: 'effects', topics: ['outbox.event.thing'], maxAttempts: 0, log: silent },
        consume,
      );
      let kills = 0;
      let brokerKills = 0;
      try {
        const writing = Promise.all(Array.from({ length: WRITERS }, write));
        const endMs = performance.now() + KILLING_MS;
        const killRelays = async (): Promise<void> => {
          while (performance.now() < endMs) {
            await delay(between(200, 2_000));
            const victim = Math.random() < 0.5 ? 0 : 1;
            await kill(relays[victim]);
            relays[victim] = relay();
            kills++;
          }
        };
        const killBroker = async (): Promise<void> => {
          while (performance.now() < endMs) {
            await delay(between(3_000, 6_000));
            await bus.stop('kill');
            await delay(between(0, 500));
            await bus.start();
            brokerKills++;
          }
        };
        await Promise.all([killRelays(), killBroker()]);
        over = true;
        await writing;

        const sums = async (table: string): Promise<unknown[]> =>
          (await database.query(`SELECT id, n, amount FROM ${table} ORDER BY id`)).rows;
        const expected = await sums('aggregates');
        const same = async (): Promise<boolean> => JSON.stringify(await sums('effects')) === JSON.stringify(expected);
        await eventually(same, 60_000).catch(async () => expect(await sums('effects')).toEqual(expected));
        expect(violations).toEqual([]);
        const left = 'SELECT 1 FROM outbox WHERE published_at IS NULL UNION ALL SELECT 1 FROM outbox_dead_letters';
        await eventually(async () => (await database.query(left)).rowCount === 0, 8_000);
        const { rows } = await database.query<{ events: string }>('SELECT count(*) AS events FROM processed_events');
        console.log(
          `${mode}: ${rows[0].events} events, ${deliveries} deliveries, ${kills} relays and ${brokerKills} brokers killed`,
        );
        expect(Number(rows[0].events)).toBeGreaterThan(100);
        expect(kills).toBeGreaterThan(3);
        expect(brokerKills).toBeGreaterThan(0);
      } finally {
        over = true;
        await Promise.all(relays.map(kill));
        await subscription.close();
        await database.close();
      }
    },
  );
});

describe('a relay whose database is away', () => {
  it.each(['wal', 'polling'] as const)(
    'stays up, at start and later, and goes on: %s',
    { timeout: 60_000 },
    async (mode) => {
      const source = await createMortalServer('source');
      if (source === null) return;
      servers.push(source);
      const relay = startRelay({
        mode,
        url: source.url,
        name: 'patient_relay',
        broker: createBusBroker(source.url, silent),
        log: silent,
      });
      try {
        await eventually(() => relay.status.problem !== null);
        expect(relay.status.role).toBe('connecting');
        await source.start();
        await runSql(source.url, BUS_TABLES);
        await eventually(() => /no table `outbox`/.test(relay.status.problem ?? ''));
        await runSql(source.url, OUTBOX_TABLES);
        const published = async (): Promise<number> => {
          const client = new pg.Client({ connectionString: source.url });
          await client.connect();
          const { rows } = await client.query<{ keys: string[] | null }>(
            'SELECT array_agg(key ORDER BY position) AS keys FROM mesh_bus.messages',
          );
          await client.end();
          return rows[0].keys?.length ?? 0;
        };
        const add = (): Promise<void> =>
          runSql(
            source.url,
            `INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES ('${randomUUID()}', 'thing', 'a', 'Changed', '{}')`,
          );
        await add();
        await eventually(async () => (await published()) === 1, 8_000);
        await source.stop();
        await eventually(() => relay.status.role === 'connecting');
        await source.start();
        await add();
        await eventually(async () => (await published()) === 2, 8_000);
      } finally {
        await relay.stop();
      }
    },
  );

  it('finds what the log would have told, where the server gave the slot up', { timeout: 60_000 }, async () => {
    const source = await startedServer('source', OUTBOX_TABLES + BUS_TABLES);
    if (source === null) return;
    const start = () =>
      startRelay({
        mode: 'wal',
        url: source.url,
        name: 'slotless_relay',
        broker: createBusBroker(source.url, silent),
        log: silent,
      });
    const database = openDatabase(source.url, silent);
    const add = (n: number): Promise<string> =>
      database.transaction((tx) =>
        addToOutbox(tx, { aggregateType: 'thing', aggregateId: 'a', type: 'Changed', payload: { n } }),
      );
    const published = async (): Promise<number[]> =>
      (await database.query('SELECT payload FROM mesh_bus.messages ORDER BY position')).rows.map(
        ({ payload }) => payload.n,
      );
    const first = start();
    await add(1);
    await eventually(async () => (await published()).length === 1);
    await first.stop();
    const slots = "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'slotless_relay' AND active";
    await eventually(async () => (await database.query(slots)).rowCount === 0);
    await add(2);
    await database.query("SELECT pg_drop_replication_slot('slotless_relay')");
    await add(3);
    const second = start();
    try {
      await eventually(async () => (await published()).length === 3);
      await add(4);
      await eventually(async () => (await published()).length === 4);
      expect(await published()).toEqual([1, 2, 3, 4]);
    } finally {
      await second.stop();
      await database.close();
    }
  });

  it('puts aside what the bus does not take, and goes on with the rest of the aggregate', {
    timeout: 60_000,
  }, async () => {
    const source = await startedServer('source', OUTBOX_TABLES + BUS_TABLES);
    if (source === null) return;
    const database = openDatabase(source.url, silent);
    // Longer than a topic of the bus may be.
    const long = 'x'.repeat(250);
    const add = (aggregateType: string, n: number): Promise<string> =>
      database.transaction((tx) =>
        addToOutbox(tx, { aggregateType, aggregateId: 'a', type: 'Changed', payload: { n } }),
      );
    for (let n = 0; n < 3; n++) for (const aggregateType of ['thing', long]) await add(aggregateType, n);
    const relay = startRelay({
      mode: 'wal',
      url: source.url,
      name: 'careful_relay',
      broker: createBusBroker(source.url, silent),
      log: silent,
      maxAttempts: 2,
    });
    try {
      const dead = 'SELECT attempts, error FROM outbox_dead_letters';
      await eventually(async () => (await database.query(dead)).rowCount === 3);
      const { rows } = await database.query<{ attempts: number; error: string }>(dead);
      for (const { attempts, error } of rows) expect([attempts, error]).toEqual([2, expect.stringMatching(/topic/)]);
      await add('thing', 3);
      const published = 'SELECT payload FROM mesh_bus.messages ORDER BY position';
      await eventually(async () => (await database.query(published)).rowCount === 4);
      expect((await database.query(published)).rows.map(({ payload }) => payload.n)).toEqual([0, 1, 2, 3]);
    } finally {
      await relay.stop();
      await database.close();
    }
  });
});
