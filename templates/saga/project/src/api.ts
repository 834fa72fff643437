import { randomUUID } from 'node:crypto';
import type { Database } from '../../../shared/database.ts';
import { type Answer, HttpProblem, type Request } from './http.ts';
import type { SagaEngine } from './saga/engine.ts';
import type { State } from './saga/run.ts';
import { countSagas, describeSaga, hasInput, listSagas } from './saga/store.ts';
import { KIND } from './sales-order-saga.ts';
import { type Item, type NewSalesOrder, type SalesOrders, totalOf } from './sales-orders.ts';

const STATES: readonly State[] = ['accepted', 'running', 'completed', 'compensating', 'compensated', 'parked'];
/** What may be in a path and has no `~`, which the engine uses. */
const ID = /^[\w.:-]{1,100}$/;
const MOST_ITEMS = 100;

type Perform = (request: Request, id: string) => Promise<Answer>;

/** Sales orders, which sagas carry out, and the sagas themselves. */
export function createApi(database: Database, engine: SagaEngine, salesOrders: SalesOrders) {
  const routes = (
    [
      ['POST', '/sales-orders', create],
      ['GET', '/sales-orders/ID', async (_, id) => ok((await salesOrders.get(id)) ?? missing('sales order', id))],
      ['POST', '/sales-orders/ID/cancel', cancel],
      ['GET', '/sagas', list],
      ['GET', '/sagas/ID', async (_, id) => ok((await describeSaga(database, id)) ?? missing('saga', id))],
      ['POST', '/sagas/ID/resume', resume],
    ] satisfies [string, string, Perform][]
  ).map(([method, path, perform]) => ({ method, path: new RegExp(`^${path.replace('ID', '([^/]+)')}$`), perform }));

  /** Accepted means that it will be carried out or undone, whatever happens to this process. */
  async function create(request: Request): Promise<Answer> {
    const id = request.header('idempotency-key') ?? randomUUID();
    if (!ID.test(id)) throw new HttpProblem(400, 'The idempotency-key is not valid.', 'letters, digits, . : _ -');
    const input = { id, ...readSalesOrder(await request.json()) };
    const { isNew } = await engine.start(id, KIND, input);
    if (!isNew && !(await hasInput(database, id, input))) {
      throw new HttpProblem(422, 'This idempotency-key was used for something else.');
    }
    return { status: 202, body: { id, saga: `/sagas/${id}` }, headers: { location: `/sales-orders/${id}` } };
  }

  async function cancel(_: Request, id: string): Promise<Answer> {
    const status = (await salesOrders.withdraw(id)) ?? missing('sales order', id);
    if (status !== 'cancelled') throw new HttpProblem(409, `It is ${status} and cannot be cancelled any more.`);
    return { status: 202, body: { id, saga: `/sagas/${id}` } };
  }

  async function list({ url: { searchParams } }: Request): Promise<Answer> {
    const state = searchParams.get('state') ?? undefined;
    if (state !== undefined && !STATES.includes(state as State)) {
      throw new HttpProblem(400, 'There is no such state.', `state is one of ${STATES.join(', ')}`);
    }
    const limit = Number(searchParams.get('limit') ?? 50);
    if (!Number.isInteger(limit) || limit < 1 || limit > 500) throw new HttpProblem(400, 'limit is from 1 to 500.');
    const after = searchParams.get('after') ?? undefined;
    const page = await listSagas(database, { state: state as State | undefined, limit, after });
    if (page === null) throw new HttpProblem(400, 'after must be `next` of another page.');
    return ok({ ...page, counts: await countSagas(database) });
  }

  async function resume(request: Request, id: string): Promise<Answer> {
    const skip = request.url.searchParams.get('skip');
    if (skip !== null && skip !== 'true' && skip !== 'false') throw new HttpProblem(400, 'skip is true or false.');
    const state = (await engine.resume(id, skip === 'true')) ?? missing('saga', id);
    if (state !== 'parked') throw new HttpProblem(409, `It is ${state}; only a parked saga can be resumed.`);
    return { status: 202, body: { id, saga: `/sagas/${id}` } };
  }

  return async (request: Request): Promise<Answer> => {
    const here = routes.flatMap(({ method, path, perform }) => {
      const match = path.exec(request.url.pathname);
      return match === null ? [] : [{ method, perform, id: decode(match[1] ?? '') }];
    });
    const found = here.find(({ method }) => method === request.method);
    if (found !== undefined) return found.perform(request, found.id);
    if (here.length === 0) throw new HttpProblem(404, 'There is nothing here.');
    throw new HttpProblem(405, `This method is not allowed here; ${here.map(({ method }) => method).join(', ')} is.`);
  };
}

const ok = (body: unknown): Answer => ({ status: 200, body });

function missing(what: string, id: string): never {
  throw new HttpProblem(404, `There is no such ${what}.`, id);
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new HttpProblem(400, 'The address is not valid.');
  }
}

function readSalesOrder(body: unknown): NewSalesOrder {
  const { customer, items } = (body ?? {}) as { customer?: unknown; items?: unknown };
  const wrong = (detail: string): never => {
    throw new HttpProblem(400, 'The request is not valid.', detail);
  };
  if (typeof customer !== 'string' || customer === '' || customer.length > 100) return wrong('customer must be a name');
  if (!Array.isArray(items) || items.length === 0 || items.length > MOST_ITEMS) {
    return wrong(`items must be a list of 1 to ${MOST_ITEMS}`);
  }
  const read = items.map((item: unknown, at): Item => {
    const { sku, quantity, unitPrice } = (item ?? {}) as Record<string, unknown>;
    if (typeof sku !== 'string' || sku === '') return wrong(`items[${at}].sku must be a text`);
    if (!isCount(quantity, 1, 10_000)) return wrong(`items[${at}].quantity must be a whole number from 1 to 10000`);
    if (!isCount(unitPrice, 0, 100_000_000))
      return wrong(`items[${at}].unitPrice must be a whole number, in minor units`);
    return { sku, quantity, unitPrice };
  });
  const wanted = { customer, items: read };
  return Number.isSafeInteger(totalOf(wanted)) ? wanted : wrong('it comes to too much');
}

const isCount = (value: unknown, least: number, most: number): value is number =>
  Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
