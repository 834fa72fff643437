import type { RelayMode } from '../../common/outbox-session.ts';

/** By asking the table, which works with every server; or `wal`, which is told of commits. */
export const RELAY_MODE: RelayMode = 'polling';
