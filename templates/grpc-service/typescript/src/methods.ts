import { status } from '@grpc/grpc-js';
import type { Call, Methods } from './calls.ts';
import type { Changes } from './changes.ts';
import { CallError } from './errors.ts';
import type { CreateSalesOrderRequest__Output as CreateRequest } from './gen/order_desk/v1/CreateSalesOrderRequest.ts';
import type { SalesOrderServiceHandlers } from './gen/order_desk/v1/SalesOrderService.ts';
import type { SalesOrderStore } from './store.ts';
import { checkCreate, checkId, checkList, checkUpdate, violationsOfCreate } from './validation.ts';
import { watch } from './watch.ts';

/** Of an import, what goes into one transaction. */
const BATCH = 100;

export function salesOrderMethods(
  methods: Methods,
  store: SalesOrderStore,
  changes: Changes,
): SalesOrderServiceHandlers {
  const notFound = (id: string) => new CallError(status.NOT_FOUND, `There is no sales order ${id}.`);

  const create = async (request: CreateRequest, call: Call) => {
    const [created] = await store.createAll([request], call.remainingMs());
    if (created !== 'differs') return created;
    throw new CallError(status.ALREADY_EXISTS, 'This idempotency key was used for different content.');
  };

  return {
    CreateSalesOrder: methods.unary(async (request, call) => {
      checkCreate(request);
      return create(request, call);
    }),

    GetSalesOrder: methods.unary(async ({ id }, call) => {
      checkId(id);
      const found = await store.get(id, call.remainingMs());
      if (found === undefined) throw notFound(id);
      return found;
    }),

    UpdateSalesOrder: methods.unary(async (request, call) => {
      const wanted = checkUpdate(request);
      const moved = await store.moveTo(request.id, wanted, call.remainingMs());
      if (moved === 'not-found') throw notFound(request.id);
      if (moved !== 'not-allowed') return moved;
      throw new CallError(status.FAILED_PRECONDITION, `It cannot become ${wanted} from its present status.`);
    }),

    ListSalesOrders: methods.serverStream(async function* (request, call) {
      checkList(request);
      yield* store.list(request, call.remainingMs);
    }),

    ImportSalesOrders: methods.clientStream(async (requests, call) => {
      const counts = { created: 0, replayed: 0, rejected: 0 };
      let batch: CreateRequest[] = [];
      const flush = async (): Promise<void> => {
        if (batch.length === 0) return;
        for (const created of await store.createAll(batch, call.remainingMs())) {
          counts[created === 'differs' ? 'rejected' : created.replayed ? 'replayed' : 'created']++;
        }
        batch = [];
      };
      for await (const request of requests) {
        if (violationsOfCreate(request).length > 0) counts.rejected++;
        else if (batch.push(request) === BATCH) await flush();
      }
      await flush();
      return counts;
    }),

    WatchSalesOrders: methods.bidiStream((requests, call) => watch(requests, call.signal, store, changes)),
  };
}
