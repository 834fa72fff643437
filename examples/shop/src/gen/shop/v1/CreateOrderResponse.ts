// Original file: proto/shop/v1/orders.proto

import type { Hop as _shop_v1_Hop, Hop__Output as _shop_v1_Hop__Output } from '../../shop/v1/Hop.ts';
import type { Order as _shop_v1_Order, Order__Output as _shop_v1_Order__Output } from '../../shop/v1/Order.ts';

export interface CreateOrderResponse {
  order?: _shop_v1_Order | null;
  path?: _shop_v1_Hop[];
  replayed?: boolean;
}

export interface CreateOrderResponse__Output {
  order: _shop_v1_Order__Output | null;
  path: _shop_v1_Hop__Output[];
  replayed: boolean;
}
