import type { Database, Queryable } from '../../../shared/database.ts';
import { Refused } from './saga/definition.ts';

export interface Item {
  readonly sku: string;
  readonly quantity: number;
  /** In minor units. */
  readonly unitPrice: number;
}

export interface NewSalesOrder {
  readonly customer: string;
  readonly items: readonly Item[];
}

export interface SalesOrder extends NewSalesOrder {
  readonly id: string;
  readonly status: 'pending' | 'confirmed' | 'cancelled';
  /** In minor units. */
  readonly total: number;
}

/** The sales orders themselves; all but `get` are idempotent. */
export interface SalesOrders {
  create(id: string, wanted: NewSalesOrder): Promise<void>;
  /** @throws Refused if it was cancelled before */
  confirm(id: string): Promise<void>;
  /** Also one that does not exist yet; it then cannot be created or confirmed any more. */
  cancel(id: string, wanted: NewSalesOrder): Promise<void>;
  /** For the customer: only while it is pending. Its saga then compensates. @returns its status afterwards */
  withdraw(id: string): Promise<SalesOrder['status'] | undefined>;
  get(id: string): Promise<SalesOrder | undefined>;
}

export const totalOf = ({ items }: NewSalesOrder): number =>
  items.reduce((sum, { quantity, unitPrice }) => sum + quantity * unitPrice, 0);

export function createSalesOrders(database: Database): SalesOrders {
  const status = async (id: string, from: Queryable = database): Promise<SalesOrder['status'] | undefined> => {
    const { rows } = await from.query<{ status: SalesOrder['status'] }>(
      'SELECT status FROM sales_orders WHERE id = $1',
      [id],
    );
    return rows[0]?.status;
  };
  const insert = (id: string, as: SalesOrder['status'], wanted: NewSalesOrder) =>
    database.query(
      `INSERT INTO sales_orders (id, status, customer, items, total) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (id) DO NOTHING`,
      [id, as, wanted.customer, JSON.stringify(wanted.items), totalOf(wanted)],
    );
  const change = (id: string, to: SalesOrder['status']) =>
    database.query("UPDATE sales_orders SET status = $2, updated_at = now() WHERE id = $1 AND status = 'pending'", [
      id,
      to,
    ]);

  return {
    async create(id, wanted) {
      await insert(id, 'pending', wanted);
      if ((await status(id)) === 'cancelled') throw new Refused('it was cancelled');
    },

    async confirm(id) {
      await change(id, 'confirmed');
      if ((await status(id)) !== 'confirmed') throw new Refused('it was cancelled');
    },

    async cancel(id, wanted) {
      await insert(id, 'cancelled', wanted);
      // Also a confirmed one: whoever compensates does not know whether the confirmation happened.
      await database.query("UPDATE sales_orders SET status = 'cancelled', updated_at = now() WHERE id = $1", [id]);
    },

    async withdraw(id) {
      await change(id, 'cancelled');
      return status(id);
    },

    async get(id) {
      const { rows } = await database.query<Omit<SalesOrder, 'total'> & { total: string }>(
        'SELECT id, status, customer, items, total FROM sales_orders WHERE id = $1',
        [id],
      );
      return rows[0] && { ...rows[0], total: Number(rows[0].total) };
    },
  };
}
