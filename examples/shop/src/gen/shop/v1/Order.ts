// Original file: proto/shop/v1/orders.proto

import type {
  Timestamp as _google_protobuf_Timestamp,
  Timestamp__Output as _google_protobuf_Timestamp__Output,
} from '../../google/protobuf/Timestamp.ts';
import type { Money as _shop_v1_Money, Money__Output as _shop_v1_Money__Output } from '../../shop/v1/Money.ts';
import type {
  OrderItem as _shop_v1_OrderItem,
  OrderItem__Output as _shop_v1_OrderItem__Output,
} from '../../shop/v1/OrderItem.ts';
import type {
  OrderStatus as _shop_v1_OrderStatus,
  OrderStatus__Output as _shop_v1_OrderStatus__Output,
} from '../../shop/v1/OrderStatus.ts';

export interface Order {
  id?: string;
  status?: _shop_v1_OrderStatus;
  items?: _shop_v1_OrderItem[];
  total?: _shop_v1_Money | null;
  createdAt?: _google_protobuf_Timestamp | null;
  updatedAt?: _google_protobuf_Timestamp | null;
}

export interface Order__Output {
  id: string;
  status: _shop_v1_OrderStatus__Output;
  items: _shop_v1_OrderItem__Output[];
  total: _shop_v1_Money__Output | null;
  createdAt: _google_protobuf_Timestamp__Output | null;
  updatedAt: _google_protobuf_Timestamp__Output | null;
}
