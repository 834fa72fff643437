import * as v from 'valibot';
import type { OrderStatus__Output as OrderStatus } from '../gen/shop/v1/OrderStatus.ts';
import { requestable } from './status.ts';

const Text = v.pipe(v.string(), v.nonEmpty('must not be empty'), v.maxLength(200));

const Money = v.object(
  {
    amount: v.pipe(v.string(), v.regex(/^[1-9]\d{0,11}$/, 'must be more than 0 and less than 10^12')),
    currency: v.pipe(v.string(), v.regex(/^[A-Z]{3}$/, 'must be a currency code like EUR')),
  },
  'is missing',
);

const Item = v.object({
  sku: Text,
  quantity: v.pipe(v.number(), v.minValue(1), v.maxValue(99)),
  unitPrice: Money,
});

export const CreateOrderInput = v.object({
  idempotencyKey: Text,
  paymentToken: Text,
  items: v.pipe(
    v.array(Item),
    v.minLength(1, 'must not be empty'),
    v.maxLength(20),
    v.check((items) => new Set(items.map((item) => item.unitPrice.currency)).size <= 1, 'must be in one currency'),
  ),
});

export const UpdateOrderInput = v.object({
  status: v.custom<OrderStatus>(
    (status) => requestable.includes(status as OrderStatus),
    `must be one of ${requestable.join(', ')}`,
  ),
});

export const ListOrdersInput = v.object({ limit: v.pipe(v.number(), v.minValue(0, 'must not be negative')) });
