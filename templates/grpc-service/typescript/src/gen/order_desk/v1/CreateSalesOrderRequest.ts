// Original file: proto/order_desk/v1/order_desk.proto

import type {
  LineItem as _order_desk_v1_LineItem,
  LineItem__Output as _order_desk_v1_LineItem__Output,
} from '../../order_desk/v1/LineItem.ts';

export interface CreateSalesOrderRequest {
  idempotencyKey?: string;
  items?: _order_desk_v1_LineItem[];
}

export interface CreateSalesOrderRequest__Output {
  idempotencyKey: string;
  items: _order_desk_v1_LineItem__Output[];
}
