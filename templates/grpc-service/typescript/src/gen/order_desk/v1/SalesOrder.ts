// Original file: proto/order_desk/v1/order_desk.proto

import type {
  Timestamp as _google_protobuf_Timestamp,
  Timestamp__Output as _google_protobuf_Timestamp__Output,
} from '../../google/protobuf/Timestamp.ts';
import type {
  LineItem as _order_desk_v1_LineItem,
  LineItem__Output as _order_desk_v1_LineItem__Output,
} from '../../order_desk/v1/LineItem.ts';
import type {
  Money as _order_desk_v1_Money,
  Money__Output as _order_desk_v1_Money__Output,
} from '../../order_desk/v1/Money.ts';
import type {
  SalesOrderStatus as _order_desk_v1_SalesOrderStatus,
  SalesOrderStatus__Output as _order_desk_v1_SalesOrderStatus__Output,
} from '../../order_desk/v1/SalesOrderStatus.ts';

export interface SalesOrder {
  id?: string;
  status?: _order_desk_v1_SalesOrderStatus;
  items?: _order_desk_v1_LineItem[];
  total?: _order_desk_v1_Money | null;
  createdAt?: _google_protobuf_Timestamp | null;
  updatedAt?: _google_protobuf_Timestamp | null;
}

export interface SalesOrder__Output {
  id: string;
  status: _order_desk_v1_SalesOrderStatus__Output;
  items: _order_desk_v1_LineItem__Output[];
  total: _order_desk_v1_Money__Output | null;
  createdAt: _google_protobuf_Timestamp__Output | null;
  updatedAt: _google_protobuf_Timestamp__Output | null;
}
