import type { Database } from '../../../shared/database.ts';
import { Refused } from './saga/definition.ts';

export interface StockItem {
  readonly sku: string;
  readonly quantity: number;
}

/** What the saga needs of the service that has the stock. Both are idempotent by key. */
export interface Inventory {
  /** @throws Refused where there is not enough, or the key was released before */
  reserve(key: string, items: readonly StockItem[], signal: AbortSignal): Promise<void>;
  /** Also where nothing was reserved; then a reservation that comes later is refused. */
  release(key: string, signal: AbortSignal): Promise<void>;
}

const STATEMENT_TIMEOUT_MS = 4_000;

/** Keeps the stock in this database. A service of its own would get the key as a header and do the same. */
export function createInventory(database: Database): Inventory {
  return {
    reserve: (key, items, signal) =>
      database.transaction(async (tx) => {
        const { rowCount } = await tx.query(
          "INSERT INTO reservations (key, status, items) VALUES ($1, 'held', $2) ON CONFLICT (key) DO NOTHING",
          [key, JSON.stringify(items)],
        );
        if (rowCount === 0) {
          const { rows } = await tx.query<{ status: string }>('SELECT status FROM reservations WHERE key = $1', [key]);
          if (rows[0].status === 'released') throw new Refused('this reservation was released before');
          return;
        }
        // All in one order, so that two reservations do not wait for each other.
        for (const { sku, quantity } of [...items].sort((one, other) => (one.sku < other.sku ? -1 : 1))) {
          const taken = await tx.query(
            'UPDATE stock SET available = available - $2 WHERE sku = $1 AND available >= $2',
            [sku, quantity],
          );
          if (taken.rowCount === 0) throw new Refused(`there are not ${quantity} of ${sku}`);
        }
        // Whoever called no longer waits for this.
        signal.throwIfAborted();
      }, STATEMENT_TIMEOUT_MS),

    release: (key, signal) =>
      database.transaction(async (tx) => {
        await tx.query(
          "INSERT INTO reservations (key, status, items) VALUES ($1, 'released', '[]') ON CONFLICT (key) DO NOTHING",
          [key],
        );
        const { rows } = await tx.query<{ items: StockItem[] }>(
          "UPDATE reservations SET status = 'released', updated_at = now() WHERE key = $1 AND status = 'held' RETURNING items",
          [key],
        );
        const items = rows[0]?.items ?? [];
        for (const { sku, quantity } of [...items].sort((one, other) => (one.sku < other.sku ? -1 : 1))) {
          await tx.query('UPDATE stock SET available = available + $2 WHERE sku = $1', [sku, quantity]);
        }
        signal.throwIfAborted();
      }, STATEMENT_TIMEOUT_MS),
  };
}
