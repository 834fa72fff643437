// Original file: proto/shop/v1/orders.proto

import type {
  OrderItem as _shop_v1_OrderItem,
  OrderItem__Output as _shop_v1_OrderItem__Output,
} from '../../shop/v1/OrderItem.ts';

export interface CreateOrderRequest {
  idempotencyKey?: string;
  items?: _shop_v1_OrderItem[];
  paymentToken?: string;
}

export interface CreateOrderRequest__Output {
  idempotencyKey: string;
  items: _shop_v1_OrderItem__Output[];
  paymentToken: string;
}
