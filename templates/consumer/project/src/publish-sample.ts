// An event as the service that owns it would publish it: to try the consumer out.
import { randomUUID } from 'node:crypto';
import { openDatabase } from '../../../shared/database.ts';
import { createLog } from '../../../shared/log.ts';
import { publish } from '../../../shared/postgres-bus.ts';
import { required } from '../../../shared/process.ts';
import { TOPIC } from './events.ts';

const [amount = '1250', id = randomUUID()] = process.argv.slice(2);
const url = required(process.env, 'BUS_URL', 'postgres://127.0.0.1:5432/orderdesk');
const bus = openDatabase(url, createLog('publish-sample'), 1);
try {
  const headers = { id, type: 'SalesOrderConfirmed' };
  await bus.transaction((tx) =>
    publish(tx, TOPIC, randomUUID(), { total: { amount: Number(amount), currency: 'EUR' } }, headers),
  );
  console.log(`published ${id} to ${TOPIC}`);
} finally {
  await bus.close();
}
