// Original file: proto/order_desk/v1/order_desk.proto

import type {
  SalesOrderStatus as _order_desk_v1_SalesOrderStatus,
  SalesOrderStatus__Output as _order_desk_v1_SalesOrderStatus__Output,
} from '../../order_desk/v1/SalesOrderStatus.ts';

export interface UpdateSalesOrderRequest {
  id?: string;
  status?: _order_desk_v1_SalesOrderStatus;
}

export interface UpdateSalesOrderRequest__Output {
  id: string;
  status: _order_desk_v1_SalesOrderStatus__Output;
}
