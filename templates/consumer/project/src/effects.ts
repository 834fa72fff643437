import type { Queryable } from '../../../shared/database.ts';
import type { SalesOrderConfirmed } from './events.ts';

/** The effect of an event, inside the transaction that also notes that it was handled. Only what is in `tx` is undone. */
export async function applyEvent(tx: Queryable, { at, total }: SalesOrderConfirmed): Promise<void> {
  await tx.query(
    `INSERT INTO sales_order_totals (day, currency, count, amount) VALUES ($1, $2, 1, $3)
     ON CONFLICT (day, currency) DO UPDATE
     SET count = sales_order_totals.count + 1, amount = sales_order_totals.amount + excluded.amount`,
    [at.toISOString().slice(0, 10), total.currency, total.amount],
  );
}

export interface Totals {
  readonly day: string;
  readonly currency: string;
  readonly count: number;
  readonly amount: number;
}

export async function readTotals(database: Queryable): Promise<Totals[]> {
  const { rows } = await database.query<{ day: string; currency: string; count: string; amount: string }>(
    'SELECT day::text, currency, count, amount FROM sales_order_totals ORDER BY day DESC, currency',
  );
  return rows.map(({ day, currency, count, amount }) => ({
    day,
    currency,
    count: Number(count),
    amount: Number(amount),
  }));
}
