import type { OrderStatus__Output as OrderStatus } from '../gen/shop/v1/OrderStatus.ts';

/** From each status, those that may follow. */
const following: Record<OrderStatus, readonly OrderStatus[]> = {
  ORDER_STATUS_UNSPECIFIED: [],
  ORDER_STATUS_PENDING: ['ORDER_STATUS_RESERVED', 'ORDER_STATUS_OUT_OF_STOCK', 'ORDER_STATUS_CANCELLED'],
  ORDER_STATUS_RESERVED: ['ORDER_STATUS_PAID', 'ORDER_STATUS_PAYMENT_DECLINED', 'ORDER_STATUS_CANCELLED'],
  ORDER_STATUS_PAID: ['ORDER_STATUS_SHIPPED', 'ORDER_STATUS_CANCELLED'],
  ORDER_STATUS_SHIPPED: ['ORDER_STATUS_DELIVERED'],
  ORDER_STATUS_DELIVERED: [],
  ORDER_STATUS_CANCELLED: [],
  ORDER_STATUS_OUT_OF_STOCK: [],
  ORDER_STATUS_PAYMENT_DECLINED: [],
};

/** What a caller may ask for; the others come out of placing the order. */
export const requestable: readonly OrderStatus[] = [
  'ORDER_STATUS_SHIPPED',
  'ORDER_STATUS_DELIVERED',
  'ORDER_STATUS_CANCELLED',
];

export const mayFollow = (from: OrderStatus, to: OrderStatus): boolean => following[from].includes(to);
export const isFinal = (status: OrderStatus): boolean => following[status].length === 0;
