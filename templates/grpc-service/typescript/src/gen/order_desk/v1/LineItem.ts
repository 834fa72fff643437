// Original file: proto/order_desk/v1/order_desk.proto

import type {
  Money as _order_desk_v1_Money,
  Money__Output as _order_desk_v1_Money__Output,
} from '../../order_desk/v1/Money.ts';

export interface LineItem {
  sku?: string;
  quantity?: number;
  unitPrice?: _order_desk_v1_Money | null;
}

export interface LineItem__Output {
  sku: string;
  quantity: number;
  unitPrice: _order_desk_v1_Money__Output | null;
}
