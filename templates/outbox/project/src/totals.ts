// A consumer of the events: what is sold, by currency. Usually a service of its own with a database of its own.
import { createLog } from '../../../shared/log.ts';
import { portFrom, required, runUntilSignal } from '../../../shared/process.ts';
import { startTotals } from './totals-service.ts';

const { env } = process;
const log = createLog('order-desk-totals', env);

await runUntilSignal(log, async () =>
  startTotals({
    port: portFrom(env, 3_002),
    host: env.HOST ?? '127.0.0.1',
    databaseUrl: required(env, 'DATABASE_URL', 'postgres://127.0.0.1:5432/orderdesk'),
    busUrl: required(env, 'BUS_URL', 'postgres://127.0.0.1:5432/orderdesk'),
    log,
  }),
);
