import { createLog } from '../../../shared/log.ts';
import { portFrom, required, runUntilSignal } from '../../../shared/process.ts';
import { startService } from './service.ts';

const { env } = process;
const log = createLog('order-desk', env);

await runUntilSignal(log, async () => {
  const service = await startService({
    port: portFrom(env, 3_000),
    host: env.HOST ?? '127.0.0.1',
    databaseUrl: required(env, 'DATABASE_URL', 'postgres://127.0.0.1:5432/orderdesk'),
    systemSchema: env.DBOS_SCHEMA ?? 'dbos',
    leaseMs: leaseFrom(env),
    log,
    env,
  });
  return {
    async stop() {
      await service.stop();
      // Sagas between two attempts have timers here, but they are for other replicas now.
      setImmediate(() => process.exit());
    },
  };
});

function leaseFrom({ LEASE_MS = '5000' }: NodeJS.ProcessEnv): number {
  const leaseMs = Number(LEASE_MS);
  if (!Number.isInteger(leaseMs) || leaseMs < 200) throw new Error(`LEASE_MS must be milliseconds, at least 200`);
  return leaseMs;
}
