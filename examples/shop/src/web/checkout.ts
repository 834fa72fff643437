import { randomUUID } from 'node:crypto';
import * as v from 'valibot';
import { check } from '../common/check.ts';
import { type Hop, hopOf } from '../common/hop.ts';
import { type HttpRequest, problem, type Reply } from '../common/http-server.ts';
import type { Self } from '../common/service.ts';
import { catalogue, currency } from './catalogue.ts';
import { grpcProblem } from './grpc-problem.ts';
import { orderJson } from './order-json.ts';
import type { OrdersClient } from './orders-client.ts';

const prices = new Map(catalogue.map(({ sku, price }) => [sku, price]));

const Item = v.object({
  sku: v.pipe(
    v.string(),
    v.check((sku) => prices.has(sku), 'is not in the catalogue'),
  ),
  quantity: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(99)),
});

const Basket = v.object({
  items: v.pipe(v.array(Item), v.minLength(1, 'must not be empty'), v.maxLength(20)),
  paymentToken: v.optional(v.pipe(v.string(), v.nonEmpty()), 'tok_visa'),
});

/**
 * Places an order and answers with the path the request took. Customers name what they want; prices are the shop's.
 * With an `Idempotency-Key` header the request may be repeated without buying twice.
 */
export async function checkOut(request: HttpRequest, self: Self, orders: OrdersClient): Promise<Reply> {
  const basket = check(Basket, request.body);
  if (!basket.ok) return problem(400, 'Invalid basket', basket.error);

  const created = await orders.create(
    {
      idempotencyKey: request.headers['idempotency-key']?.toString() || randomUUID(),
      paymentToken: basket.value.paymentToken,
      items: basket.value.items.map(({ sku, quantity }) => ({
        sku,
        quantity,
        unitPrice: { amount: prices.get(sku)!, currency },
      })),
    },
    request,
  );
  if (!created.ok) return grpcProblem(created.error);

  const { path, replayed } = created.value;
  const order = created.value.order!;
  const body = {
    order: orderJson(order),
    path: [hopOf(self, 'checkout', request.caller), ...path] satisfies Hop[],
    replayed,
  };
  switch (order.status) {
    case 'ORDER_STATUS_OUT_OF_STOCK':
      return problem(409, 'Out of stock', 'There is not enough left of what you wanted.', body);
    case 'ORDER_STATUS_PAYMENT_DECLINED':
      return problem(402, 'Payment declined', 'You were not charged, and the stock is released.', body);
    default:
      return { status: replayed ? 200 : 201, headers: { location: `/api/orders/${order.id}` }, body };
  }
}
