import type { RelayMode } from '../../common/outbox-session.ts';

/** By the log of the database, which needs `wal_level = logical` and a user that may replicate; or `polling`. */
export const RELAY_MODE: RelayMode = 'wal';
