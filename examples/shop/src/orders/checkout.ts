import { status } from '@grpc/grpc-js';
import type { Hop } from '../common/hop.ts';
import { keepRecent } from '../common/keep-recent.ts';
import type { Answer } from '../common/post-json.ts';
import { fail, ok, type Result } from '../common/result.ts';
import type { CreateOrderRequest__Output as CreateOrderRequest } from '../gen/shop/v1/CreateOrderRequest.ts';
import type { Order__Output as Order } from '../gen/shop/v1/Order.ts';
import type { Compensate } from './compensation.ts';
import type { Downstream } from './downstream.ts';
import type { Call, Failure } from './grpc-method.ts';
import type { OrderStore } from './store.ts';

export interface PlacedOrder {
  order: Order;
  /** Who worked on it, in order. */
  path: Hop[];
}

/**
 * A small saga: reserve the stock, then charge the customer. When a step fails, those before it are undone, last one
 * first, and so is the step itself if it may have happened.
 */
export interface Checkout {
  place(request: CreateOrderRequest, call: Call): Promise<Result<PlacedOrder, Failure>>;
  /** Takes an order back; undefined if it is too late for that. */
  cancel(order: Order, call: Call): Promise<Order | undefined>;
}

const rememberedReservations = 10_000;

export function createCheckout(store: OrderStore, downstream: Downstream, compensate: Compensate): Checkout {
  const inventoryVersions = new Map<string, string>();

  const refund = (order: Order, headers: Call['headers']) =>
    compensate(`refund ${order.id}`, (signal) => downstream.refund(order, { headers, signal }));

  const release = (order: Order, headers: Call['headers']) =>
    compensate(`release ${order.id}`, (signal) =>
      downstream.release(order, inventoryVersions.get(order.id) ?? '', { headers, signal }),
    );

  async function place({ items, paymentToken }: CreateOrderRequest, { headers, signal }: Call) {
    const order = store.create(items);
    const path: Hop[] = [];
    const note = <A extends Answer>(answer: A): A => {
      if (answer.kind !== 'unclear' && answer.servedBy) path.push(answer.servedBy);
      return answer;
    };
    const outcome = () => ok({ order: store.get(order.id)!, path });

    const reserved = note(await downstream.reserve(order, { headers, signal }));
    if (reserved.kind !== 'done') {
      const soldOut = reserved.kind === 'refused' && reserved.status === 409;
      store.advance(order.id, soldOut ? 'ORDER_STATUS_OUT_OF_STOCK' : 'ORDER_STATUS_CANCELLED');
      if (reserved.kind === 'unclear') await release(order, headers);
      return soldOut ? outcome() : fail(failureOf('inventory', reserved, signal));
    }
    inventoryVersions.set(order.id, reserved.servedBy.version);
    keepRecent(inventoryVersions, rememberedReservations);
    store.advance(order.id, 'ORDER_STATUS_RESERVED');

    const charged = note(await downstream.charge(order, paymentToken, { headers, signal }));
    if (charged.kind !== 'done') {
      const declined = charged.kind === 'refused' && charged.status === 402;
      store.advance(order.id, declined ? 'ORDER_STATUS_PAYMENT_DECLINED' : 'ORDER_STATUS_CANCELLED');
      if (charged.kind === 'unclear') await refund(order, headers);
      note(await release(order, headers));
      return declined ? outcome() : fail(failureOf('payments', charged, signal));
    }
    store.advance(order.id, 'ORDER_STATUS_PAID');
    return outcome();
  }

  return {
    place,
    async cancel(order, { headers }) {
      const cancelled = store.advance(order.id, 'ORDER_STATUS_CANCELLED');
      if (!cancelled) return undefined;
      await refund(order, headers);
      await release(order, headers);
      return cancelled;
    },
  };
}

function failureOf(service: string, answer: Exclude<Answer, { kind: 'done' }>, signal: AbortSignal): Failure {
  if (answer.kind === 'unclear') {
    return signal.aborted
      ? { code: status.DEADLINE_EXCEEDED, details: `out of time at ${service}: ${answer.detail}` }
      : { code: status.UNAVAILABLE, details: answer.detail };
  }
  // The only thing a customer can get wrong here that is not found out before: a SKU that does not exist.
  if (answer.status === 404) return { code: status.INVALID_ARGUMENT, details: answer.detail };
  return { code: status.INTERNAL, details: `${service} answered ${answer.status}: ${answer.detail}` };
}
