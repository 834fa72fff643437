import { randomUUID } from 'node:crypto';
import type { Database, Queryable } from '../../../shared/database.ts';
import { addToOutbox } from '../../common/outbox.ts';

export interface SalesOrder {
  readonly id: string;
  readonly customer: string;
  readonly status: 'pending' | 'confirmed' | 'cancelled';
  readonly total: Money;
}

export interface Money {
  /** In minor units. */
  readonly amount: number;
  readonly currency: string;
}

/** Events of sales orders; their topic is `outbox.event.sales-order`. */
export type SalesOrderEvent =
  | { readonly type: 'SalesOrderPlaced'; readonly customer: string; readonly total: Money }
  | { readonly type: 'SalesOrderConfirmed' | 'SalesOrderCancelled'; readonly total: Money };

interface Row {
  id: string;
  customer: string;
  status: SalesOrder['status'];
  amount: string;
  currency: string;
}

const COLUMNS = 'id, customer, status, amount, currency';

export async function placeSalesOrder(database: Database, customer: string, total: Money): Promise<SalesOrder> {
  return database.transaction(async (tx) => {
    const { rows } = await tx.query<Row>(
      `INSERT INTO sales_orders (id, customer, amount, currency) VALUES ($1, $2, $3, $4) RETURNING ${COLUMNS}`,
      [randomUUID(), customer, total.amount, total.currency],
    );
    const salesOrder = fromRow(rows[0]);
    await tell(tx, salesOrder, { type: 'SalesOrderPlaced', customer, total });
    return salesOrder;
  });
}

/** Of a pending one. The row is changed first: who changes it at the same moment waits, and so do the events. */
export async function settleSalesOrder(
  database: Database,
  id: string,
  status: 'confirmed' | 'cancelled',
): Promise<SalesOrder | 'not-found' | 'not-pending'> {
  return database.transaction(async (tx) => {
    const { rows } = await tx.query<Row>(
      `UPDATE sales_orders SET status = $2 WHERE id = $1 AND status = 'pending' RETURNING ${COLUMNS}`,
      [id, status],
    );
    if (rows.length === 0) return (await getSalesOrder(tx, id)) === undefined ? 'not-found' : 'not-pending';
    const salesOrder = fromRow(rows[0]);
    const type = status === 'confirmed' ? 'SalesOrderConfirmed' : 'SalesOrderCancelled';
    await tell(tx, salesOrder, { type, total: salesOrder.total });
    return salesOrder;
  });
}

export async function getSalesOrder(database: Queryable, id: string): Promise<SalesOrder | undefined> {
  const { rows } = await database.query<Row>(`SELECT ${COLUMNS} FROM sales_orders WHERE id = $1`, [id]);
  return rows.map(fromRow)[0];
}

async function tell(tx: Queryable, { id }: SalesOrder, { type, ...payload }: SalesOrderEvent): Promise<void> {
  await addToOutbox(tx, { aggregateType: 'sales-order', aggregateId: id, type, payload });
}

const fromRow = ({ id, customer, status, amount, currency }: Row): SalesOrder => ({
  id,
  customer,
  status,
  total: { amount: Number(amount), currency },
});
