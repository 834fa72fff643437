// Original file: proto/shop/v1/orders.proto

import type { Money as _shop_v1_Money, Money__Output as _shop_v1_Money__Output } from '../../shop/v1/Money.ts';

export interface OrderItem {
  sku?: string;
  quantity?: number;
  unitPrice?: _shop_v1_Money | null;
}

export interface OrderItem__Output {
  sku: string;
  quantity: number;
  unitPrice: _shop_v1_Money__Output | null;
}
