// Original file: proto/order_desk/v1/order_desk.proto

import type { Long } from '@grpc/proto-loader';

export interface Money {
  amount?: number | string | Long;
  currency?: string;
}

export interface Money__Output {
  amount: string;
  currency: string;
}
