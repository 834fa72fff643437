import type { Output, Perform } from './operations.ts';
import { invalid, Problem } from './problem.ts';
import type { LineItem, SalesOrderStore, Status, Versioned } from './store.ts';

/** The operations of openapi.ts, by operationId. */
export function salesOrderOperations(store: SalesOrderStore): Record<string, Perform> {
  return {
    async listSalesOrders({ parameters }) {
      const page = await store.list({
        limit: parameters.limit as number,
        after: parameters.after as string | undefined,
        status: parameters.status as Status | undefined,
      });
      if (page === 'bad-cursor') throw invalid([{ parameter: 'after', detail: 'must be `next` of another page' }]);
      return { status: 200, body: page };
    },

    async createSalesOrder({ parameters, body }) {
      const { items } = body as { items: LineItem[] };
      if (new Set(items.map(({ unitPrice }) => unitPrice.currency)).size > 1) {
        throw invalid([{ pointer: '/items', detail: 'must all be in one currency' }]);
      }
      const created = await store.create(parameters['idempotency-key'] as string, items);
      if (created === 'differs') throw new Problem(422, 'This idempotency key was used for something else.');
      const location = `/sales-orders/${created.salesOrder.id}`;
      const answer = answerWith(created, created.replayed ? 200 : 201);
      return { ...answer, headers: { ...answer.headers, location } };
    },

    async getSalesOrder({ parameters }) {
      const found = await store.get(parameters.id as string);
      if (found === undefined) throw notFound(parameters.id);
      return answerWith(found);
    },

    async updateSalesOrder({ parameters, body }) {
      const id = parameters.id as string;
      const { status } = body as { status: Status };
      const moved = await store.moveTo(id, status, versionOf(parameters['if-match'] as string | undefined));
      if (moved === 'not-found') throw notFound(id);
      if (moved === 'changed') throw new Problem(412, 'It has changed since.');
      if (moved === 'not-allowed') throw new Problem(409, `It cannot become ${status} from its present status.`);
      return answerWith(moved);
    },
  };
}

const notFound = (id: unknown): Problem => new Problem(404, 'There is no such sales order.', { detail: String(id) });

const answerWith = ({ salesOrder, version }: Versioned, status = 200): Output => ({
  status,
  body: salesOrder,
  headers: { etag: `"${version}"` },
});

/** Of an If-Match with one ETag of ours; NaN, which equals none, for any other. */
function versionOf(ifMatch: string | undefined): number | undefined {
  if (ifMatch === undefined || ifMatch.trim() === '*') return undefined;
  return Number(/^"(\d{1,9})"$/.exec(ifMatch.trim())?.[1] ?? Number.NaN);
}
