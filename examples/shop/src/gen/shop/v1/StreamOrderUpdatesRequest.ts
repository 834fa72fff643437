// Original file: proto/shop/v1/orders.proto

export interface StreamOrderUpdatesRequest {
  id?: string;
}

export interface StreamOrderUpdatesRequest__Output {
  id: string;
}
