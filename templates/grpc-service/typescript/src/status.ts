import type { SalesOrderStatus__Output as Status } from './gen/order_desk/v1/SalesOrderStatus.ts';

/** From each status, those that may follow. */
const FOLLOWING: Readonly<Record<Status, readonly Status[]>> = {
  SALES_ORDER_STATUS_UNSPECIFIED: [],
  SALES_ORDER_STATUS_PENDING: ['SALES_ORDER_STATUS_CONFIRMED', 'SALES_ORDER_STATUS_CANCELLED'],
  SALES_ORDER_STATUS_CONFIRMED: ['SALES_ORDER_STATUS_SHIPPED', 'SALES_ORDER_STATUS_CANCELLED'],
  SALES_ORDER_STATUS_SHIPPED: ['SALES_ORDER_STATUS_DELIVERED'],
  SALES_ORDER_STATUS_DELIVERED: [],
  SALES_ORDER_STATUS_CANCELLED: [],
};

/** What a caller may ask for. */
export const REQUESTABLE: readonly Status[] = Object.values(FOLLOWING).flat();

/** Those that a status may be reached from. */
export const before = (status: Status): Status[] =>
  (Object.keys(FOLLOWING) as Status[]).filter((from) => FOLLOWING[from].includes(status));

export const isFinal = (status: Status): boolean => FOLLOWING[status].length === 0;
