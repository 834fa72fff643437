// Original file: proto/order_desk/v1/order_desk.proto

import type {
  SalesOrder as _order_desk_v1_SalesOrder,
  SalesOrder__Output as _order_desk_v1_SalesOrder__Output,
} from '../../order_desk/v1/SalesOrder.ts';

export interface CreateSalesOrderResponse {
  salesOrder?: _order_desk_v1_SalesOrder | null;
  replayed?: boolean;
}

export interface CreateSalesOrderResponse__Output {
  salesOrder: _order_desk_v1_SalesOrder__Output | null;
  replayed: boolean;
}
