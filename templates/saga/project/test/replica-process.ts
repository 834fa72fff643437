// A replica of the service, which dies where the IDs of sagas say so: see kill-points.ts.
import { createLog } from '../../../shared/log.ts';
import { startService } from '../src/service.ts';
import { deadlyParticipants } from './kill-points.ts';

const { DATABASE_URL, DBOS_SCHEMA, LEASE_MS } = process.env;
const { url } = await startService({
  port: 0,
  host: '127.0.0.1',
  databaseUrl: DATABASE_URL!,
  systemSchema: DBOS_SCHEMA!,
  leaseMs: Number(LEASE_MS),
  log: createLog('replica', { LOG_LEVEL: process.env.LOG_LEVEL ?? 'none' }),
  participants: deadlyParticipants,
});
process.send?.(url);
// Nobody is to be left behind when the test ends.
process.on('disconnect', () => process.exit());
