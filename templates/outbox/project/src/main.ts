import { createLog } from '../../../shared/log.ts';
import { portFrom, required, runUntilSignal } from '../../../shared/process.ts';
import { startService } from './service.ts';

const { env } = process;
const log = createLog('order-desk', env);

await runUntilSignal(log, async () =>
  startService({
    port: portFrom(env, 3_000),
    host: env.HOST ?? '127.0.0.1',
    databaseUrl: required(env, 'DATABASE_URL', 'postgres://127.0.0.1:5432/orderdesk'),
    log,
  }),
);
