import type { Database } from '../../../shared/database.ts';
import { Refused } from './saga/definition.ts';

/** What the saga needs of the service that has the money. Both are idempotent by key. */
export interface Payments {
  /**
   * @param amount in minor units
   * @throws Refused where the account does not have it, or the key was refunded before
   */
  take(key: string, customer: string, amount: number, signal: AbortSignal): Promise<void>;
  /** Also where nothing was taken; then a payment that comes later is refused. */
  refund(key: string, customer: string, signal: AbortSignal): Promise<void>;
}

const STATEMENT_TIMEOUT_MS = 4_000;

/** Keeps accounts in this database. A payment provider gets the key as its idempotency key. */
export function createPayments(database: Database): Payments {
  return {
    take: (key, customer, amount, signal) =>
      database.transaction(async (tx) => {
        const { rowCount } = await tx.query(
          "INSERT INTO payments (key, status, customer, amount) VALUES ($1, 'taken', $2, $3) ON CONFLICT (key) DO NOTHING",
          [key, customer, amount],
        );
        if (rowCount === 0) {
          const { rows } = await tx.query<{ status: string }>('SELECT status FROM payments WHERE key = $1', [key]);
          if (rows[0].status === 'refunded') throw new Refused('this payment was refunded before');
          return;
        }
        const taken = await tx.query(
          'UPDATE accounts SET balance = balance - $2 WHERE customer = $1 AND balance >= $2',
          [customer, amount],
        );
        if (taken.rowCount === 0) throw new Refused(`the account of ${customer} does not have ${amount}`);
        signal.throwIfAborted();
      }, STATEMENT_TIMEOUT_MS),

    refund: (key, customer, signal) =>
      database.transaction(async (tx) => {
        await tx.query(
          "INSERT INTO payments (key, status, customer, amount) VALUES ($1, 'refunded', $2, 0) ON CONFLICT (key) DO NOTHING",
          [key, customer],
        );
        const { rows } = await tx.query<{ customer: string; amount: string }>(
          "UPDATE payments SET status = 'refunded', updated_at = now() WHERE key = $1 AND status = 'taken' RETURNING customer, amount",
          [key],
        );
        for (const payment of rows) {
          await tx.query('UPDATE accounts SET balance = balance + $2 WHERE customer = $1', [
            payment.customer,
            payment.amount,
          ]);
        }
        signal.throwIfAborted();
      }, STATEMENT_TIMEOUT_MS),
  };
}
