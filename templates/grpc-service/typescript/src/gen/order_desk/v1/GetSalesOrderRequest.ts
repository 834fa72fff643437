// Original file: proto/order_desk/v1/order_desk.proto

export interface GetSalesOrderRequest {
  id?: string;
}

export interface GetSalesOrderRequest__Output {
  id: string;
}
