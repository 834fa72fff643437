import { hostname } from 'node:os';
import type pg from 'pg';
import type { DeliveryOptions } from './outbox-delivery.ts';

/** `wal`: told of commits by logical decoding. `polling`: asks the table, for servers without `wal_level = logical`. */
export type RelayMode = 'wal' | 'polling';

export interface RelayStatus {
  readonly mode: RelayMode;
  /** `standby`: another relay is at work, and this one takes over from it. */
  role: 'connecting' | 'standby' | 'active';
  /** By this process. */
  published: number;
  /** What it waits for; null: nothing is wrong. */
  problem: string | null;
}

/** One connection to the outbox and what goes on while it holds. */
export interface RelaySession {
  readonly url: string;
  readonly name: string;
  readonly client: pg.Client;
  readonly delivery: DeliveryOptions;
  readonly status: RelayStatus;
  /** Aborted when the relay stops or the connection is lost. */
  readonly signal: AbortSignal;
}

/** For those who want to know who is at work. */
export async function announce(client: pg.Client, name: string, mode: RelayMode): Promise<void> {
  await client.query(
    `INSERT INTO outbox_relays AS r (name, mode, holder) VALUES ($1, $2, $3)
     ON CONFLICT (name) DO UPDATE SET mode = excluded.mode, holder = excluded.holder, seen_at = clock_timestamp(),
       active_since = CASE WHEN r.holder = excluded.holder THEN r.active_since ELSE clock_timestamp() END`,
    [name, mode, `${hostname()}:${process.pid}`],
  );
}

/** Before the next try after so many failures: 100 ms, doubled each time, at most 5 s. */
export const backoffMs = (failures: number): number => Math.min(5_000, 50 * 2 ** Math.min(failures, 10));
