import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { applyMigrations, readMigrations } from '../../src/runtime/resources/migrations.ts';
import { type BusMessage, publish, type Subscription, subscribe } from '../../templates/shared/postgres-bus.ts';
import { eventually } from '../support/e2e.ts';
import { startTestServer, type TestServer } from '../support/postgres-server.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const log = { info: () => {}, warn: () => {}, error: () => {} };

const server: TestServer | null = await startTestServer();

describe.skipIf(server === null)('bus in PostgreSQL', () => {
  let url: string;
  let pool: pg.Pool;
  let topic: string;
  const open: Subscription[] = [];
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    url = await server!.url('bus');
    pool = new pg.Pool({ connectionString: url });
    pool.on('error', () => {});
    const migrations = await readMigrations([path.join(ROOT, 'templates/shared/bus/migrations')]);
    if (!migrations.ok) throw new Error(migrations.problems[0].message);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    expect(await applyMigrations(client, 'bus', migrations.value)).toMatchObject({ ok: true, value: ['0001_bus.sql'] });
    await client.end();
    await pool.query('CREATE TABLE effects (id serial, worker text, key text, n integer, position bigint)');
  });
  afterAll(async () => {
    await pool?.end();
    await server?.remove();
  });
  beforeEach(() => {
    topic = `t-${randomUUID()}`;
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await Promise.all(open.splice(0).map((subscription) => subscription.close()));
  });

  const send = (key: string, n: number, to = topic) => publish(pool, to, key, { n });
  const listen = async (
    group: string,
    handle: (message: BusMessage) => Promise<void>,
    more: Partial<Parameters<typeof subscribe>[0]> = {},
  ): Promise<Subscription> => {
    const subscription = subscribe({ url, group, topics: [topic], log, ...more }, handle);
    open.push(subscription);
    await subscription.ready;
    return subscription;
  };
  const collect = (into: BusMessage[]) => async (message: BusMessage) => void into.push(message);
  const numbers = (messages: readonly BusMessage[], key: string) =>
    messages.filter((message) => message.key === key).map(({ payload }) => (payload as { n: number }).n);
  const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

  it('delivers what is published with its key, payload and headers', async () => {
    await publish(pool, topic, 'order-1', { items: ['ü', 2], nested: { ok: true } }, { traceparent: '00-ab-cd-01' });
    const got: BusMessage[] = [];
    await listen('readers', collect(got));
    await eventually(() => got.length === 1);
    expect(got[0]).toMatchObject({
      topic,
      key: 'order-1',
      payload: { items: ['ü', 2], nested: { ok: true } },
      headers: { traceparent: '00-ab-cd-01' },
      attempt: 1,
    });
  });

  it('does not deliver what was rolled back', async () => {
    const got: BusMessage[] = [];
    await listen('readers', collect(got));
    const client = await pool.connect();
    await client.query('BEGIN');
    await publish(client, topic, 'a', { n: 1 });
    await client.query('ROLLBACK');
    client.release();
    await send('a', 2);
    await eventually(() => got.length > 0);
    expect(numbers(got, 'a')).toEqual([2]);
  });

  it('keeps the order of each key with many keys, publishers and consumers', async () => {
    const got: BusMessage[] = [];
    for (let i = 0; i < 3; i++)
      await listen('readers', async (message) => {
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
        got.push(message);
      });
    const keys = upTo(20).map((i) => `key-${i}`);
    await Promise.all(
      keys.map(async (key) => {
        for (const n of upTo(25)) await send(key, n);
      }),
    );
    await eventually(() => got.length >= 500, 15_000);
    for (const key of keys) expect(numbers(got, key)).toEqual(upTo(25));
  });

  it('passes over nothing whose transaction commits late', async () => {
    const got: BusMessage[] = [];
    await listen('readers', collect(got));
    const slow = await pool.connect();
    await slow.query('BEGIN');
    await publish(slow, topic, 'same', { n: 0 });
    await send('same', 1);
    await eventually(() => got.length === 1);
    await slow.query('COMMIT');
    slow.release();
    await eventually(() => got.length === 2);
    // In the order of the commits.
    expect(numbers(got, 'same')).toEqual([1, 0]);
    expect(got[1].position).toBeGreaterThan(got[0].position);
  });

  it('gives each group everything, and shares it within a group', async () => {
    const groups: Record<string, BusMessage[][]> = { one: [[], []], two: [[]] };
    for (const [group, members] of Object.entries(groups))
      for (const member of members) await listen(group, collect(member), { leaseMs: 400 });
    // Until the first member of the group has given up its surplus.
    await eventually(async () => {
      const { rows } = await pool.query(
        "SELECT count(*)::int AS n FROM mesh_bus.leases WHERE consumer_group = 'one' AND topic = $1 AND holder IS NOT NULL GROUP BY holder",
        [topic],
      );
      return rows.length === 2 && rows.every(({ n }) => n === 8);
    });
    for (const n of upTo(200)) await send(`key-${n}`, n);
    await eventually(() => groups.one.flat().length >= 200 && groups.two.flat().length >= 200, 15_000);
    for (const group of Object.values(groups)) {
      const all = group.flat().map(({ payload }) => (payload as { n: number }).n);
      expect(all.sort((a, b) => a - b)).toEqual(upTo(200));
    }
    expect(groups.one[0].length).toBeGreaterThan(40);
    expect(groups.one[1].length).toBeGreaterThan(40);
  });

  it('begins where the group was, and a new group where it asks for', async () => {
    const first: BusMessage[] = [];
    const subscription = await listen('readers', collect(first));
    await send('a', 1);
    await eventually(() => first.length === 1);
    await subscription.close();
    await send('a', 2);
    const second: BusMessage[] = [];
    await listen('readers', collect(second));
    const late: BusMessage[] = [];
    await listen('late', collect(late), { from: 'now' });
    await send('a', 3);
    await eventually(() => second.length === 2 && late.length === 1);
    expect([numbers(second, 'a'), numbers(late, 'a')]).toEqual([[2, 3], [3]]);
  });

  it('tries a failed message again before those that follow it, and other keys meanwhile', async () => {
    const got: BusMessage[] = [];
    let failures = 3;
    await listen('readers', async (message) => {
      if (message.key === 'bad' && failures-- > 0) throw new Error('not now');
      got.push(message);
    });
    // Two keys of different partitions.
    await send('bad', 1);
    await send('bad', 2);
    await send('good', 1);
    await eventually(() => got.length === 3);
    expect(got.map(({ key }) => key)).toEqual(['good', 'bad', 'bad']);
    expect(numbers(got, 'bad')).toEqual([1, 2]);
    expect(got.find(({ key, payload }) => key === 'bad' && (payload as { n: number }).n === 1)?.attempt).toBe(4);
  });

  it('puts aside what fails too often', async () => {
    const got: BusMessage[] = [];
    await listen(
      'readers',
      async (message) => {
        if ((message.payload as { n: number }).n === 1) throw new Error('poison');
        got.push(message);
      },
      { maxAttempts: 2 },
    );
    await send('a', 1);
    await send('a', 2);
    await eventually(() => got.length === 1);
    const { rows } = await pool.query(
      'SELECT key, payload, attempts, error FROM mesh_bus.dead_letters WHERE topic = $1',
      [topic],
    );
    expect(rows).toEqual([{ key: 'a', payload: { n: 1 }, attempts: 2, error: 'poison' }]);
  });

  it('wakes consumers up: the median message arrives within 20 ms of its commit', async () => {
    const delays: number[] = [];
    let arrived: (at: number) => void = () => {};
    await listen('readers', async () => arrived(performance.now()));
    for (let i = 0; i < 40; i++) {
      const arrival = new Promise<number>((resolve) => {
        arrived = resolve;
      });
      await send('a', i);
      const committedMs = performance.now();
      delays.push((await arrival) - committedMs);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    delays.sort((a, b) => a - b);
    expect(delays[20]).toBeLessThan(20);
  });

  it('goes on after its connections were cut', async () => {
    const got: BusMessage[] = [];
    await listen('readers', collect(got));
    await send('a', 1);
    await eventually(() => got.length === 1);
    await pool.query('SELECT pg_terminate_backend(pid) FROM mesh_bus.consumers WHERE $1 = ANY (topics)', [topic]);
    await send('a', 2);
    await eventually(() => numbers(got, 'a').includes(2));
  });

  it('keeps a lease while a message takes longer than the lease', async () => {
    const got: BusMessage[] = [];
    const slow = async (message: BusMessage) => {
      await new Promise((resolve) => setTimeout(resolve, 900));
      got.push(message);
    };
    await listen('readers', slow, { leaseMs: 300 });
    await listen('readers', slow, { leaseMs: 300 });
    await send('a', 1);
    await send('a', 2);
    await eventually(() => got.length === 2);
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(numbers(got, 'a')).toEqual([1, 2]);
  });

  it('cleans up what all groups have handled, and nothing else', async () => {
    const got: BusMessage[] = [];
    const subscription = await listen('readers', collect(got));
    await send('a', 1);
    await eventually(() => got.length === 1);
    await subscription.close();
    await send('a', 2);
    await pool.query("SELECT mesh_bus.clean('0 seconds')");
    const { rows } = await pool.query("SELECT payload->>'n' AS n FROM mesh_bus.messages WHERE topic = $1", [topic]);
    expect(rows).toEqual([{ n: '2' }]);
  });

  it('delivers again what a killed consumer had not confirmed: nothing lost, each key in order', {
    timeout: 120_000,
  }, async () => {
    const spawnConsumer = async (name: string): Promise<ChildProcess> => {
      const script = path.join(ROOT, 'test/support/bus-consumer.ts');
      const child = spawn(process.execPath, ['--import', 'tsx', script, url, 'killed', topic, name], {
        cwd: ROOT,
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      children.push(child);
      await new Promise((resolve) => child.stdout!.once('data', resolve));
      return child;
    };
    const count = async (): Promise<number> =>
      (await pool.query('SELECT count(DISTINCT position)::int AS n FROM effects')).rows[0].n;
    const keys = upTo(8).map((i) => `key-${i}`);
    let victim = await spawnConsumer('first');
    await spawnConsumer('second');
    let sent = 0;
    let killing = true;
    const publishing = (async () => {
      for (; killing; sent++) {
        for (const key of keys) await send(key, sent);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    })();
    for (const round of upTo(3)) {
      const before = await count();
      await eventually(async () => (await count()) > before + 40, 20_000);
      victim.kill('SIGKILL');
      victim = await spawnConsumer(`next-${round}`);
    }
    killing = false;
    await publishing;
    await eventually(async () => (await count()) === keys.length * sent, 30_000);
    for (const key of keys) {
      const { rows } = await pool.query('SELECT n FROM effects WHERE key = $1 ORDER BY id', [key]);
      const first = rows.map(({ n }) => n as number).filter((n, i, all) => all.indexOf(n) === i);
      expect(first).toEqual(upTo(sent));
    }
  });
});
