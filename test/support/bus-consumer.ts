/** A consumer to be killed: `bus-consumer.ts URL GROUP TOPIC`. Each message goes into `effects` with its worker's name. */
import pg from 'pg';
import { subscribe } from '../../templates/shared/postgres-bus.ts';

const [url, group, topic, name] = process.argv.slice(2);
const pool = new pg.Pool({ connectionString: url, max: 4 });
const log = { info: () => {}, warn: () => {}, error: () => {} };
const subscription = subscribe({ url, group, topics: [topic], log }, async ({ key, payload, position }) => {
  await pool.query('INSERT INTO effects (worker, key, n, position) VALUES ($1, $2, $3, $4)', [
    name,
    key,
    (payload as { n: number }).n,
    position,
  ]);
  await new Promise((resolve) => setTimeout(resolve, 2));
});
await subscription.ready;
process.stdout.write('ready\n');
