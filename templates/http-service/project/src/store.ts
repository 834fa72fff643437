import { createHash, randomUUID } from 'node:crypto';
import type { Database, Queryable } from '../../../shared/database.ts';

export type Status = 'pending' | 'confirmed' | 'shipped' | 'delivered' | 'cancelled';

export interface LineItem {
  readonly sku: string;
  readonly quantity: number;
  readonly unitPrice: { readonly amount: number; readonly currency: string };
}

export interface SalesOrder {
  readonly id: string;
  readonly status: Status;
  readonly items: readonly LineItem[];
  readonly total: { readonly amount: number; readonly currency: string };
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** With the number of its last change. */
export interface Versioned {
  readonly salesOrder: SalesOrder;
  readonly version: number;
}

export interface Page {
  readonly salesOrders: readonly SalesOrder[];
  readonly next?: string;
}

export interface SalesOrderStore {
  /** Once per key. `differs`: the key was used for something else. */
  create(key: string, items: readonly LineItem[]): Promise<(Versioned & { replayed: boolean }) | 'differs'>;
  get(id: string): Promise<Versioned | undefined>;
  /** @param version only if it is the present one; undefined: whichever */
  moveTo(id: string, status: Status, version?: number): Promise<Versioned | 'not-found' | 'not-allowed' | 'changed'>;
  /** @returns `bad-cursor` for an `after` that did not come from here */
  list(filter: { limit: number; after?: string; status?: Status }): Promise<Page | 'bad-cursor'>;
  /** Idempotency keys that are older than a day. */
  forgetOldKeys(): Promise<number>;
}

/** From each status, those that may follow. */
const FOLLOWING: Readonly<Record<Status, readonly Status[]>> = {
  pending: ['confirmed', 'cancelled'],
  confirmed: ['shipped', 'cancelled'],
  shipped: ['delivered'],
  delivered: [],
  cancelled: [],
};
const STATEMENT_TIMEOUT_MS = 5_000;

interface Row {
  id: string;
  status: Status;
  items: LineItem[];
  total_amount: string;
  total_currency: string;
  version: number;
  created_at: Date;
  updated_at: Date;
  page_key: string;
}

// A Date has milliseconds only; a page begins exactly where the last one ended.
const COLUMNS =
  'id, status, items, total_amount, total_currency, version, created_at, updated_at, created_at::text AS page_key';

export function createStore(database: Database): SalesOrderStore {
  const transaction = <T>(work: (tx: Queryable) => Promise<T>): Promise<T> =>
    database.transaction(work, STATEMENT_TIMEOUT_MS);
  const find = async (tx: Queryable, id: string, lock = ''): Promise<Versioned | undefined> => {
    const { rows } = await tx.query<Row>(`SELECT ${COLUMNS} FROM sales_orders WHERE id = $1 ${lock}`, [id]);
    return rows[0] && fromRow(rows[0]);
  };

  return {
    create: (key, items) =>
      transaction(async (tx): Promise<(Versioned & { replayed: boolean }) | 'differs'> => {
        const id = randomUUID();
        const digest = createHash('sha256').update(JSON.stringify(items)).digest('hex');
        // Waits for a transaction in progress that uses the same key, and then sees what became of it.
        const claimed = await tx.query(
          'INSERT INTO idempotency_keys (key, request_digest, sales_order_id) VALUES ($1, $2, $3) ON CONFLICT (key) DO NOTHING',
          [key, digest, id],
        );
        if (claimed.rowCount === 0) {
          const { rows } = await tx.query<{ request_digest: string; sales_order_id: string }>(
            'SELECT request_digest, sales_order_id FROM idempotency_keys WHERE key = $1',
            [key],
          );
          if (rows[0].request_digest !== digest) return 'differs';
          return { ...(await find(tx, rows[0].sales_order_id))!, replayed: true };
        }
        const total = items.reduce((sum, { quantity, unitPrice }) => sum + unitPrice.amount * quantity, 0);
        const { rows } = await tx.query<Row>(
          `INSERT INTO sales_orders (id, status, items, total_amount, total_currency) VALUES ($1, 'pending', $2, $3, $4) RETURNING ${COLUMNS}`,
          [id, JSON.stringify(items), total, items[0].unitPrice.currency],
        );
        return { ...fromRow(rows[0]), replayed: false };
      }),

    get: (id) => find(database, id),

    moveTo: (id, status, version) =>
      transaction(async (tx): Promise<Versioned | 'not-found' | 'not-allowed' | 'changed'> => {
        const present = await find(tx, id, 'FOR UPDATE');
        if (present === undefined) return 'not-found';
        if (version !== undefined && version !== present.version) return 'changed';
        if (!FOLLOWING[present.salesOrder.status].includes(status)) return 'not-allowed';
        const { rows } = await tx.query<Row>(
          `UPDATE sales_orders SET status = $2, version = version + 1, updated_at = now() WHERE id = $1 RETURNING ${COLUMNS}`,
          [id, status],
        );
        return fromRow(rows[0]);
      }),

    async list({ limit, after, status }) {
      const from = after === undefined ? [null, null] : decodeCursor(after);
      if (from === null) return 'bad-cursor';
      const { rows } = await database.query<Row>(
        `SELECT ${COLUMNS} FROM sales_orders
         WHERE ($1::text IS NULL OR status = $1)
           AND ($2::timestamptz IS NULL OR (created_at, id) < ($2::timestamptz, $3::uuid))
         ORDER BY created_at DESC, id DESC LIMIT $4`,
        [status ?? null, ...from, limit + 1],
      );
      const page = rows.slice(0, limit);
      const last = rows.length > limit ? page[page.length - 1] : undefined;
      const salesOrders = page.map((row) => fromRow(row).salesOrder);
      return last === undefined ? { salesOrders } : { salesOrders, next: encodeCursor(last) };
    },

    async forgetOldKeys() {
      const { rowCount } = await database.query(
        "DELETE FROM idempotency_keys WHERE created_at < now() - interval '1 day'",
      );
      return rowCount ?? 0;
    },
  };
}

const encodeCursor = ({ page_key, id }: Row): string => Buffer.from(`${page_key}|${id}`).toString('base64url');

function decodeCursor(cursor: string): [string, string] | null {
  const [, time, id] =
    /^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d(?::\d\d)?)\|([0-9a-f-]{36})$/.exec(
      Buffer.from(cursor, 'base64url').toString(),
    ) ?? [];
  return time === undefined || id === undefined ? null : [time, id];
}

function fromRow(row: Row): Versioned {
  const salesOrder: SalesOrder = {
    id: row.id,
    status: row.status,
    items: row.items,
    total: { amount: Number(row.total_amount), currency: row.total_currency },
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  };
  return { salesOrder, version: row.version };
}
