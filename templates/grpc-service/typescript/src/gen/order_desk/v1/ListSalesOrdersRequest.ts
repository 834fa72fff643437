// Original file: proto/order_desk/v1/order_desk.proto

import type {
  SalesOrderStatus as _order_desk_v1_SalesOrderStatus,
  SalesOrderStatus__Output as _order_desk_v1_SalesOrderStatus__Output,
} from '../../order_desk/v1/SalesOrderStatus.ts';

export interface ListSalesOrdersRequest {
  limit?: number;
  status?: _order_desk_v1_SalesOrderStatus;
}

export interface ListSalesOrdersRequest__Output {
  limit: number;
  status: _order_desk_v1_SalesOrderStatus__Output;
}
