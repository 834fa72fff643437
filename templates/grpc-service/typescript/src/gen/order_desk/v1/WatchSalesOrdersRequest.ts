// Original file: proto/order_desk/v1/order_desk.proto

export interface WatchSalesOrdersRequest {
  id?: string;
  stop?: boolean;
}

export interface WatchSalesOrdersRequest__Output {
  id: string;
  stop: boolean;
}
