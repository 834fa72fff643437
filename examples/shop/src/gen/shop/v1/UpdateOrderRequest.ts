// Original file: proto/shop/v1/orders.proto

import type {
  OrderStatus as _shop_v1_OrderStatus,
  OrderStatus__Output as _shop_v1_OrderStatus__Output,
} from '../../shop/v1/OrderStatus.ts';

export interface UpdateOrderRequest {
  id?: string;
  status?: _shop_v1_OrderStatus;
}

export interface UpdateOrderRequest__Output {
  id: string;
  status: _shop_v1_OrderStatus__Output;
}
