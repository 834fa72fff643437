import { status } from '@grpc/grpc-js';
import { check } from '../common/check.ts';
import { hopOf } from '../common/hop.ts';
import type { Log } from '../common/log.ts';
import { fail, ok } from '../common/result.ts';
import type { Self } from '../common/service.ts';
import type { OrderServiceHandlers } from '../gen/shop/v1/OrderService.ts';
import type { Checkout, PlacedOrder } from './checkout.ts';
import { type Failure, serverStream, unary } from './grpc-method.ts';
import { createIdempotency } from './idempotency.ts';
import { CreateOrderInput, ListOrdersInput, UpdateOrderInput } from './input.ts';
import type { OrderStore } from './store.ts';

export interface Parts {
  self: Self;
  log: Log;
  store: OrderStore;
  checkout: Checkout;
  draining: AbortSignal;
}

export function orderMethods({ self, log, store, checkout, draining }: Parts): OrderServiceHandlers {
  const idempotency = createIdempotency<PlacedOrder, Failure>(
    fail({ code: status.ALREADY_EXISTS, details: 'This idempotency key was used for a different order.' }),
  );
  const invalid = (details: string) => fail({ code: status.INVALID_ARGUMENT, details });
  const notFound = (id: string) => fail({ code: status.NOT_FOUND, details: `There is no order ${id || '(no id)'}.` });

  return {
    CreateOrder: unary(log, async (request, call) => {
      const input = check(CreateOrderInput, request);
      if (!input.ok) return invalid(input.error);
      const placed = await idempotency.once(request.idempotencyKey, request, () => checkout.place(request, call));
      if (!placed.ok) return placed;
      const { answer, replayed } = placed.value;
      const here = hopOf(self, replayed ? 'CreateOrder (replayed)' : 'CreateOrder', call.caller);
      return ok({
        order: store.get(answer.order.id) ?? answer.order,
        path: replayed ? [here] : [here, ...answer.path],
        replayed,
      });
    }),

    GetOrder: unary(log, async ({ id }) => {
      const order = store.get(id);
      return order ? ok(order) : notFound(id);
    }),

    UpdateOrder: unary(log, async (request, call) => {
      const input = check(UpdateOrderInput, request);
      if (!input.ok) return invalid(input.error);
      const order = store.get(request.id);
      if (!order) return notFound(request.id);
      const updated =
        input.value.status === 'ORDER_STATUS_CANCELLED'
          ? await checkout.cancel(order, call)
          : store.advance(order.id, input.value.status);
      if (updated) return ok(updated);
      const details = `An order in ${order.status} cannot become ${input.value.status}.`;
      return fail({ code: status.FAILED_PRECONDITION, details });
    }),

    ListOrders: serverStream(log, (request) => {
      const input = check(ListOrdersInput, request);
      return input.ok ? ok(store.list(request)) : invalid(input.error);
    }),

    StreamOrderUpdates: serverStream(log, ({ id }, { signal }) => {
      if (id && !store.get(id)) return notFound(id);
      return ok(store.watch(id, signal, draining));
    }),
  };
}
