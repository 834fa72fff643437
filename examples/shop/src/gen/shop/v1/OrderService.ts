// Original file: proto/shop/v1/orders.proto

import type * as grpc from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/proto-loader';
import type {
  CreateOrderRequest as _shop_v1_CreateOrderRequest,
  CreateOrderRequest__Output as _shop_v1_CreateOrderRequest__Output,
} from '../../shop/v1/CreateOrderRequest.ts';
import type {
  CreateOrderResponse as _shop_v1_CreateOrderResponse,
  CreateOrderResponse__Output as _shop_v1_CreateOrderResponse__Output,
} from '../../shop/v1/CreateOrderResponse.ts';
import type {
  GetOrderRequest as _shop_v1_GetOrderRequest,
  GetOrderRequest__Output as _shop_v1_GetOrderRequest__Output,
} from '../../shop/v1/GetOrderRequest.ts';
import type {
  ListOrdersRequest as _shop_v1_ListOrdersRequest,
  ListOrdersRequest__Output as _shop_v1_ListOrdersRequest__Output,
} from '../../shop/v1/ListOrdersRequest.ts';
import type { Order as _shop_v1_Order, Order__Output as _shop_v1_Order__Output } from '../../shop/v1/Order.ts';
import type {
  StreamOrderUpdatesRequest as _shop_v1_StreamOrderUpdatesRequest,
  StreamOrderUpdatesRequest__Output as _shop_v1_StreamOrderUpdatesRequest__Output,
} from '../../shop/v1/StreamOrderUpdatesRequest.ts';
import type {
  UpdateOrderRequest as _shop_v1_UpdateOrderRequest,
  UpdateOrderRequest__Output as _shop_v1_UpdateOrderRequest__Output,
} from '../../shop/v1/UpdateOrderRequest.ts';

export interface OrderServiceClient extends grpc.Client {
  CreateOrder(
    argument: _shop_v1_CreateOrderRequest,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_shop_v1_CreateOrderResponse__Output>,
  ): grpc.ClientUnaryCall;
  CreateOrder(
    argument: _shop_v1_CreateOrderRequest,
    metadata: grpc.Metadata,
    callback: grpc.requestCallback<_shop_v1_CreateOrderResponse__Output>,
  ): grpc.ClientUnaryCall;
  CreateOrder(
    argument: _shop_v1_CreateOrderRequest,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_shop_v1_CreateOrderResponse__Output>,
  ): grpc.ClientUnaryCall;
  CreateOrder(
    argument: _shop_v1_CreateOrderRequest,
    callback: grpc.requestCallback<_shop_v1_CreateOrderResponse__Output>,
  ): grpc.ClientUnaryCall;
  createOrder(
    argument: _shop_v1_CreateOrderRequest,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_shop_v1_CreateOrderResponse__Output>,
  ): grpc.ClientUnaryCall;
  createOrder(
    argument: _shop_v1_CreateOrderRequest,
    metadata: grpc.Metadata,
    callback: grpc.requestCallback<_shop_v1_CreateOrderResponse__Output>,
  ): grpc.ClientUnaryCall;
  createOrder(
    argument: _shop_v1_CreateOrderRequest,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_shop_v1_CreateOrderResponse__Output>,
  ): grpc.ClientUnaryCall;
  createOrder(
    argument: _shop_v1_CreateOrderRequest,
    callback: grpc.requestCallback<_shop_v1_CreateOrderResponse__Output>,
  ): grpc.ClientUnaryCall;

  GetOrder(
    argument: _shop_v1_GetOrderRequest,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_shop_v1_Order__Output>,
  ): grpc.ClientUnaryCall;
  GetOrder(
    argument: _shop_v1_GetOrderRequest,
    metadata: grpc.Metadata,
    callback: grpc.requestCallback<_shop_v1_Order__Output>,
  ): grpc.ClientUnaryCall;
  GetOrder(
    argument: _shop_v1_GetOrderRequest,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_shop_v1_Order__Output>,
  ): grpc.ClientUnaryCall;
  GetOrder(
    argument: _shop_v1_GetOrderRequest,
    callback: grpc.requestCallback<_shop_v1_Order__Output>,
  ): grpc.ClientUnaryCall;
  getOrder(
    argument: _shop_v1_GetOrderRequest,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_shop_v1_Order__Output>,
  ): grpc.ClientUnaryCall;
  getOrder(
    argument: _shop_v1_GetOrderRequest,
    metadata: grpc.Metadata,
    callback: grpc.requestCallback<_shop_v1_Order__Output>,
  ): grpc.ClientUnaryCall;
  getOrder(
    argument: _shop_v1_GetOrderRequest,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_shop_v1_Order__Output>,
  ): grpc.ClientUnaryCall;
  getOrder(
    argument: _shop_v1_GetOrderRequest,
    callback: grpc.requestCallback<_shop_v1_Order__Output>,
  ): grpc.ClientUnaryCall;

  ListOrders(
    argument: _shop_v1_ListOrdersRequest,
    metadata: grpc.Metadata,
    options?: grpc.CallOptions,
  ): grpc.ClientReadableStream<_shop_v1_Order__Output>;
  ListOrders(
    argument: _shop_v1_ListOrdersRequest,
    options?: grpc.CallOptions,
  ): grpc.ClientReadableStream<_shop_v1_Order__Output>;
  listOrders(
    argument: _shop_v1_ListOrdersRequest,
    metadata: grpc.Metadata,
    options?: grpc.CallOptions,
  ): grpc.ClientReadableStream<_shop_v1_Order__Output>;
  listOrders(
    argument: _shop_v1_ListOrdersRequest,
    options?: grpc.CallOptions,
  ): grpc.ClientReadableStream<_shop_v1_Order__Output>;

  StreamOrderUpdates(
    argument: _shop_v1_StreamOrderUpdatesRequest,
    metadata: grpc.Metadata,
    options?: grpc.CallOptions,
  ): grpc.ClientReadableStream<_shop_v1_Order__Output>;
  StreamOrderUpdates(
    argument: _shop_v1_StreamOrderUpdatesRequest,
    options?: grpc.CallOptions,
  ): grpc.ClientReadableStream<_shop_v1_Order__Output>;
  streamOrderUpdates(
    argument: _shop_v1_StreamOrderUpdatesRequest,
    metadata: grpc.Metadata,
    options?: grpc.CallOptions,
  ): grpc.ClientReadableStream<_shop_v1_Order__Output>;
  streamOrderUpdates(
    argument: _shop_v1_StreamOrderUpdatesRequest,
    options?: grpc.CallOptions,
  ): grpc.ClientReadableStream<_shop_v1_Order__Output>;

  UpdateOrder(
    argument: _shop_v1_UpdateOrderRequest,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_shop_v1_Order__Output>,
  ): grpc.ClientUnaryCall;
  UpdateOrder(
    argument: _shop_v1_UpdateOrderRequest,
    metadata: grpc.Metadata,
    callback: grpc.requestCallback<_shop_v1_Order__Output>,
  ): grpc.ClientUnaryCall;
  UpdateOrder(
    argument: _shop_v1_UpdateOrderRequest,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_shop_v1_Order__Output>,
  ): grpc.ClientUnaryCall;
  UpdateOrder(
    argument: _shop_v1_UpdateOrderRequest,
    callback: grpc.requestCallback<_shop_v1_Order__Output>,
  ): grpc.ClientUnaryCall;
  updateOrder(
    argument: _shop_v1_UpdateOrderRequest,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_shop_v1_Order__Output>,
  ): grpc.ClientUnaryCall;
  updateOrder(
    argument: _shop_v1_UpdateOrderRequest,
    metadata: grpc.Metadata,
    callback: grpc.requestCallback<_shop_v1_Order__Output>,
  ): grpc.ClientUnaryCall;
  updateOrder(
    argument: _shop_v1_UpdateOrderRequest,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_shop_v1_Order__Output>,
  ): grpc.ClientUnaryCall;
  updateOrder(
    argument: _shop_v1_UpdateOrderRequest,
    callback: grpc.requestCallback<_shop_v1_Order__Output>,
  ): grpc.ClientUnaryCall;
}

export interface OrderServiceHandlers extends grpc.UntypedServiceImplementation {
  CreateOrder: grpc.handleUnaryCall<_shop_v1_CreateOrderRequest__Output, _shop_v1_CreateOrderResponse>;

  GetOrder: grpc.handleUnaryCall<_shop_v1_GetOrderRequest__Output, _shop_v1_Order>;

  ListOrders: grpc.handleServerStreamingCall<_shop_v1_ListOrdersRequest__Output, _shop_v1_Order>;

  StreamOrderUpdates: grpc.handleServerStreamingCall<_shop_v1_StreamOrderUpdatesRequest__Output, _shop_v1_Order>;

  UpdateOrder: grpc.handleUnaryCall<_shop_v1_UpdateOrderRequest__Output, _shop_v1_Order>;
}

export interface OrderServiceDefinition extends grpc.ServiceDefinition {
  CreateOrder: MethodDefinition<
    _shop_v1_CreateOrderRequest,
    _shop_v1_CreateOrderResponse,
    _shop_v1_CreateOrderRequest__Output,
    _shop_v1_CreateOrderResponse__Output
  >;
  GetOrder: MethodDefinition<
    _shop_v1_GetOrderRequest,
    _shop_v1_Order,
    _shop_v1_GetOrderRequest__Output,
    _shop_v1_Order__Output
  >;
  ListOrders: MethodDefinition<
    _shop_v1_ListOrdersRequest,
    _shop_v1_Order,
    _shop_v1_ListOrdersRequest__Output,
    _shop_v1_Order__Output
  >;
  StreamOrderUpdates: MethodDefinition<
    _shop_v1_StreamOrderUpdatesRequest,
    _shop_v1_Order,
    _shop_v1_StreamOrderUpdatesRequest__Output,
    _shop_v1_Order__Output
  >;
  UpdateOrder: MethodDefinition<
    _shop_v1_UpdateOrderRequest,
    _shop_v1_Order,
    _shop_v1_UpdateOrderRequest__Output,
    _shop_v1_Order__Output
  >;
}
