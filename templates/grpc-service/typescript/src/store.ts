import { createHash, randomUUID } from 'node:crypto';
import type { Database, Queryable } from '../../../shared/database.ts';
import type { LineItem__Output as LineItem } from './gen/order_desk/v1/LineItem.ts';
import type { SalesOrder__Output as SalesOrder } from './gen/order_desk/v1/SalesOrder.ts';
import type { SalesOrderStatus__Output as Status } from './gen/order_desk/v1/SalesOrderStatus.ts';
import { before } from './status.ts';

/** Channel of NOTIFY: the id of what has changed, to every replica, when the change is committed. */
export const CHANGES = 'sales_orders_changed';

const KEY_LIFE = '1 day';
const PAGE = 200;

export type Created = { readonly salesOrder: SalesOrder; readonly replayed: boolean };

export interface NewSalesOrder {
  readonly idempotencyKey: string;
  readonly items: readonly LineItem[];
}

export interface SalesOrderStore {
  /** In one transaction, each once per key. `differs`: the key was used for another request. */
  createAll(requests: readonly NewSalesOrder[], timeoutMs: number): Promise<(Created | 'differs')[]>;
  get(id: string, timeoutMs: number): Promise<SalesOrder | undefined>;
  /** `not-allowed` from the present status. */
  moveTo(id: string, status: Status, timeoutMs: number): Promise<SalesOrder | 'not-found' | 'not-allowed'>;
  /** Newest first, read in pages; 0: no limit. */
  list(filter: { limit: number; status: Status }, timeoutMs: () => number): AsyncGenerator<SalesOrder>;
  /** Idempotency keys that are older than a day. @returns how many there were */
  forgetOldKeys(): Promise<number>;
}

interface Row {
  id: string;
  status: Status;
  items: LineItem[];
  total_amount: string;
  total_currency: string;
  created_at: Date;
  updated_at: Date;
  /** Exact, as text: a Date has milliseconds only. */
  page_key: string;
}

const COLUMNS = 'id, status, items, total_amount, total_currency, created_at, updated_at, created_at::text AS page_key';

export function createStore(database: Database): SalesOrderStore {
  const find = async (tx: Queryable, id: string): Promise<SalesOrder | undefined> => {
    const { rows } = await tx.query<Row>(`SELECT ${COLUMNS} FROM sales_orders WHERE id = $1`, [id]);
    return rows[0] && fromRow(rows[0]);
  };

  const createIn = async (tx: Queryable, { idempotencyKey, items }: NewSalesOrder): Promise<Created | 'differs'> => {
    const id = randomUUID();
    const digest = digestOf(items);
    // Waits for a transaction in progress that uses the same key, and then sees what became of it.
    const claimed = await tx.query(
      'INSERT INTO idempotency_keys (key, request_digest, sales_order_id) VALUES ($1, $2, $3) ON CONFLICT (key) DO NOTHING',
      [idempotencyKey, digest, id],
    );
    if (claimed.rowCount === 0) {
      const { rows } = await tx.query<{ request_digest: string; sales_order_id: string }>(
        'SELECT request_digest, sales_order_id FROM idempotency_keys WHERE key = $1',
        [idempotencyKey],
      );
      if (rows[0].request_digest !== digest) return 'differs';
      return { salesOrder: (await find(tx, rows[0].sales_order_id))!, replayed: true };
    }
    const total = items.reduce(
      (sum, { quantity, unitPrice }) => sum + BigInt(unitPrice!.amount) * BigInt(quantity),
      0n,
    );
    const { rows } = await tx.query<Row>(
      `INSERT INTO sales_orders (id, status, items, total_amount, total_currency) VALUES ($1, $2, $3, $4, $5) RETURNING ${COLUMNS}`,
      [id, 'SALES_ORDER_STATUS_PENDING', JSON.stringify(items), total.toString(), items[0].unitPrice!.currency],
    );
    await notify(tx, id);
    return { salesOrder: fromRow(rows[0]), replayed: false };
  };

  return {
    createAll: (requests, timeoutMs) =>
      database.transaction(async (tx) => {
        // In order of keys, so that two that have some in common wait for each other in one direction only.
        const inOrder = [...requests].sort((a, b) => (a.idempotencyKey < b.idempotencyKey ? -1 : 1));
        const results = new Map<NewSalesOrder, Created | 'differs'>();
        for (const request of inOrder) results.set(request, await createIn(tx, request));
        return requests.map((request) => results.get(request)!);
      }, timeoutMs),

    get: (id, timeoutMs) => database.transaction((tx) => find(tx, id), timeoutMs),

    moveTo: (id, status, timeoutMs) =>
      database.transaction(async (tx): Promise<SalesOrder | 'not-found' | 'not-allowed'> => {
        const { rows } = await tx.query<Row>(
          `UPDATE sales_orders SET status = $2, updated_at = now() WHERE id = $1 AND status = ANY ($3) RETURNING ${COLUMNS}`,
          [id, status, before(status)],
        );
        if (rows.length === 0) return (await find(tx, id)) === undefined ? 'not-found' : 'not-allowed';
        await notify(tx, id);
        return fromRow(rows[0]);
      }, timeoutMs),

    async *list({ limit, status }, timeoutMs) {
      let left = limit === 0 ? Number.POSITIVE_INFINITY : limit;
      let last: { key: string; id: string } | null = null;
      while (left > 0) {
        const size: number = Math.min(PAGE, left);
        const parameters: unknown[] = [
          status === 'SALES_ORDER_STATUS_UNSPECIFIED' ? null : status,
          last?.key ?? null,
          last?.id ?? null,
          size,
        ];
        const { rows } = await database.transaction(
          (tx) =>
            tx.query<Row>(
              `SELECT ${COLUMNS} FROM sales_orders
               WHERE ($1::text IS NULL OR status = $1)
                 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2::timestamptz, $3::uuid))
               ORDER BY created_at DESC, id DESC LIMIT $4`,
              parameters,
            ),
          timeoutMs(),
        );
        for (const row of rows) yield fromRow(row);
        if (rows.length < size) return;
        left -= rows.length;
        last = { key: rows[rows.length - 1].page_key, id: rows[rows.length - 1].id };
      }
    },

    async forgetOldKeys() {
      const { rowCount } = await database.query(
        `DELETE FROM idempotency_keys WHERE created_at < now() - interval '${KEY_LIFE}'`,
      );
      return rowCount ?? 0;
    },
  };
}

async function notify(tx: Queryable, id: string): Promise<void> {
  await tx.query('SELECT pg_notify($1, $2)', [CHANGES, id]);
}

function digestOf(items: readonly LineItem[]): string {
  const content = items.map(({ sku, quantity, unitPrice }) => [sku, quantity, unitPrice?.amount, unitPrice?.currency]);
  return createHash('sha256').update(JSON.stringify(content)).digest('hex');
}

function fromRow(row: Row): SalesOrder {
  return {
    id: row.id,
    status: row.status,
    items: row.items,
    total: { amount: row.total_amount, currency: row.total_currency },
    createdAt: timestamp(row.created_at),
    updatedAt: timestamp(row.updated_at),
  };
}

function timestamp(date: Date): { seconds: string; nanos: number } {
  const ms = date.getTime();
  return { seconds: Math.floor(ms / 1000).toString(), nanos: (ms % 1000) * 1_000_000 };
}
