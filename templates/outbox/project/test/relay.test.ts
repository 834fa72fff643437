import { fileURLToPath } from 'node:url';
import { describeRelay } from '../../common/outbox-tests.ts';

const MIGRATIONS = fileURLToPath(new URL('../migrations', import.meta.url));

describeRelay('wal', MIGRATIONS);
describeRelay('polling', MIGRATIONS);
