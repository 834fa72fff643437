// Original file: proto/shop/v1/orders.proto

export interface Hop {
  service?: string;
  instance?: string;
  version?: string;
  action?: string;
  caller?: string;
}

export interface Hop__Output {
  service: string;
  instance: string;
  version: string;
  action: string;
  caller: string;
}
