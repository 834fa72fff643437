// Original file: proto/order_desk/v1/order_desk.proto

export interface ImportSalesOrdersResponse {
  created?: number;
  replayed?: number;
  rejected?: number;
}

export interface ImportSalesOrdersResponse__Output {
  created: number;
  replayed: number;
  rejected: number;
}
