// Original file: proto/order_desk/v1/order_desk.proto

import type * as grpc from '@grpc/grpc-js';
import type { MethodDefinition } from '@grpc/proto-loader';
import type {
  CreateSalesOrderRequest as _order_desk_v1_CreateSalesOrderRequest,
  CreateSalesOrderRequest__Output as _order_desk_v1_CreateSalesOrderRequest__Output,
} from '../../order_desk/v1/CreateSalesOrderRequest.ts';
import type {
  CreateSalesOrderResponse as _order_desk_v1_CreateSalesOrderResponse,
  CreateSalesOrderResponse__Output as _order_desk_v1_CreateSalesOrderResponse__Output,
} from '../../order_desk/v1/CreateSalesOrderResponse.ts';
import type {
  GetSalesOrderRequest as _order_desk_v1_GetSalesOrderRequest,
  GetSalesOrderRequest__Output as _order_desk_v1_GetSalesOrderRequest__Output,
} from '../../order_desk/v1/GetSalesOrderRequest.ts';
import type {
  ImportSalesOrdersResponse as _order_desk_v1_ImportSalesOrdersResponse,
  ImportSalesOrdersResponse__Output as _order_desk_v1_ImportSalesOrdersResponse__Output,
} from '../../order_desk/v1/ImportSalesOrdersResponse.ts';
import type {
  ListSalesOrdersRequest as _order_desk_v1_ListSalesOrdersRequest,
  ListSalesOrdersRequest__Output as _order_desk_v1_ListSalesOrdersRequest__Output,
} from '../../order_desk/v1/ListSalesOrdersRequest.ts';
import type {
  SalesOrder as _order_desk_v1_SalesOrder,
  SalesOrder__Output as _order_desk_v1_SalesOrder__Output,
} from '../../order_desk/v1/SalesOrder.ts';
import type {
  UpdateSalesOrderRequest as _order_desk_v1_UpdateSalesOrderRequest,
  UpdateSalesOrderRequest__Output as _order_desk_v1_UpdateSalesOrderRequest__Output,
} from '../../order_desk/v1/UpdateSalesOrderRequest.ts';
import type {
  WatchSalesOrdersRequest as _order_desk_v1_WatchSalesOrdersRequest,
  WatchSalesOrdersRequest__Output as _order_desk_v1_WatchSalesOrdersRequest__Output,
} from '../../order_desk/v1/WatchSalesOrdersRequest.ts';

export interface SalesOrderServiceClient extends grpc.Client {
  CreateSalesOrder(
    argument: _order_desk_v1_CreateSalesOrderRequest,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_order_desk_v1_CreateSalesOrderResponse__Output>,
  ): grpc.ClientUnaryCall;
  CreateSalesOrder(
    argument: _order_desk_v1_CreateSalesOrderRequest,
    metadata: grpc.Metadata,
    callback: grpc.requestCallback<_order_desk_v1_CreateSalesOrderResponse__Output>,
  ): grpc.ClientUnaryCall;
  CreateSalesOrder(
    argument: _order_desk_v1_CreateSalesOrderRequest,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_order_desk_v1_CreateSalesOrderResponse__Output>,
  ): grpc.ClientUnaryCall;
  CreateSalesOrder(
    argument: _order_desk_v1_CreateSalesOrderRequest,
    callback: grpc.requestCallback<_order_desk_v1_CreateSalesOrderResponse__Output>,
  ): grpc.ClientUnaryCall;
  createSalesOrder(
    argument: _order_desk_v1_CreateSalesOrderRequest,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_order_desk_v1_CreateSalesOrderResponse__Output>,
  ): grpc.ClientUnaryCall;
  createSalesOrder(
    argument: _order_desk_v1_CreateSalesOrderRequest,
    metadata: grpc.Metadata,
    callback: grpc.requestCallback<_order_desk_v1_CreateSalesOrderResponse__Output>,
  ): grpc.ClientUnaryCall;
  createSalesOrder(
    argument: _order_desk_v1_CreateSalesOrderRequest,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_order_desk_v1_CreateSalesOrderResponse__Output>,
  ): grpc.ClientUnaryCall;
  createSalesOrder(
    argument: _order_desk_v1_CreateSalesOrderRequest,
    callback: grpc.requestCallback<_order_desk_v1_CreateSalesOrderResponse__Output>,
  ): grpc.ClientUnaryCall;

  GetSalesOrder(
    argument: _order_desk_v1_GetSalesOrderRequest,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_order_desk_v1_SalesOrder__Output>,
  ): grpc.ClientUnaryCall;
  GetSalesOrder(
    argument: _order_desk_v1_GetSalesOrderRequest,
    metadata: grpc.Metadata,
    callback: grpc.requestCallback<_order_desk_v1_SalesOrder__Output>,
  ): grpc.ClientUnaryCall;
  GetSalesOrder(
    argument: _order_desk_v1_GetSalesOrderRequest,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_order_desk_v1_SalesOrder__Output>,
  ): grpc.ClientUnaryCall;
  GetSalesOrder(
    argument: _order_desk_v1_GetSalesOrderRequest,
    callback: grpc.requestCallback<_order_desk_v1_SalesOrder__Output>,
  ): grpc.ClientUnaryCall;
  getSalesOrder(
    argument: _order_desk_v1_GetSalesOrderRequest,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_order_desk_v1_SalesOrder__Output>,
  ): grpc.ClientUnaryCall;
  getSalesOrder(
    argument: _order_desk_v1_GetSalesOrderRequest,
    metadata: grpc.Metadata,
    callback: grpc.requestCallback<_order_desk_v1_SalesOrder__Output>,
  ): grpc.ClientUnaryCall;
  getSalesOrder(
    argument: _order_desk_v1_GetSalesOrderRequest,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_order_desk_v1_SalesOrder__Output>,
  ): grpc.ClientUnaryCall;
  getSalesOrder(
    argument: _order_desk_v1_GetSalesOrderRequest,
    callback: grpc.requestCallback<_order_desk_v1_SalesOrder__Output>,
  ): grpc.ClientUnaryCall;

  ImportSalesOrders(
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_order_desk_v1_ImportSalesOrdersResponse__Output>,
  ): grpc.ClientWritableStream<_order_desk_v1_CreateSalesOrderRequest>;
  ImportSalesOrders(
    metadata: grpc.Metadata,
    callback: grpc.requestCallback<_order_desk_v1_ImportSalesOrdersResponse__Output>,
  ): grpc.ClientWritableStream<_order_desk_v1_CreateSalesOrderRequest>;
  ImportSalesOrders(
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_order_desk_v1_ImportSalesOrdersResponse__Output>,
  ): grpc.ClientWritableStream<_order_desk_v1_CreateSalesOrderRequest>;
  ImportSalesOrders(
    callback: grpc.requestCallback<_order_desk_v1_ImportSalesOrdersResponse__Output>,
  ): grpc.ClientWritableStream<_order_desk_v1_CreateSalesOrderRequest>;
  importSalesOrders(
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_order_desk_v1_ImportSalesOrdersResponse__Output>,
  ): grpc.ClientWritableStream<_order_desk_v1_CreateSalesOrderRequest>;
  importSalesOrders(
    metadata: grpc.Metadata,
    callback: grpc.requestCallback<_order_desk_v1_ImportSalesOrdersResponse__Output>,
  ): grpc.ClientWritableStream<_order_desk_v1_CreateSalesOrderRequest>;
  importSalesOrders(
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_order_desk_v1_ImportSalesOrdersResponse__Output>,
  ): grpc.ClientWritableStream<_order_desk_v1_CreateSalesOrderRequest>;
  importSalesOrders(
    callback: grpc.requestCallback<_order_desk_v1_ImportSalesOrdersResponse__Output>,
  ): grpc.ClientWritableStream<_order_desk_v1_CreateSalesOrderRequest>;

  ListSalesOrders(
    argument: _order_desk_v1_ListSalesOrdersRequest,
    metadata: grpc.Metadata,
    options?: grpc.CallOptions,
  ): grpc.ClientReadableStream<_order_desk_v1_SalesOrder__Output>;
  ListSalesOrders(
    argument: _order_desk_v1_ListSalesOrdersRequest,
    options?: grpc.CallOptions,
  ): grpc.ClientReadableStream<_order_desk_v1_SalesOrder__Output>;
  listSalesOrders(
    argument: _order_desk_v1_ListSalesOrdersRequest,
    metadata: grpc.Metadata,
    options?: grpc.CallOptions,
  ): grpc.ClientReadableStream<_order_desk_v1_SalesOrder__Output>;
  listSalesOrders(
    argument: _order_desk_v1_ListSalesOrdersRequest,
    options?: grpc.CallOptions,
  ): grpc.ClientReadableStream<_order_desk_v1_SalesOrder__Output>;

  UpdateSalesOrder(
    argument: _order_desk_v1_UpdateSalesOrderRequest,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_order_desk_v1_SalesOrder__Output>,
  ): grpc.ClientUnaryCall;
  UpdateSalesOrder(
    argument: _order_desk_v1_UpdateSalesOrderRequest,
    metadata: grpc.Metadata,
    callback: grpc.requestCallback<_order_desk_v1_SalesOrder__Output>,
  ): grpc.ClientUnaryCall;
  UpdateSalesOrder(
    argument: _order_desk_v1_UpdateSalesOrderRequest,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_order_desk_v1_SalesOrder__Output>,
  ): grpc.ClientUnaryCall;
  UpdateSalesOrder(
    argument: _order_desk_v1_UpdateSalesOrderRequest,
    callback: grpc.requestCallback<_order_desk_v1_SalesOrder__Output>,
  ): grpc.ClientUnaryCall;
  updateSalesOrder(
    argument: _order_desk_v1_UpdateSalesOrderRequest,
    metadata: grpc.Metadata,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_order_desk_v1_SalesOrder__Output>,
  ): grpc.ClientUnaryCall;
  updateSalesOrder(
    argument: _order_desk_v1_UpdateSalesOrderRequest,
    metadata: grpc.Metadata,
    callback: grpc.requestCallback<_order_desk_v1_SalesOrder__Output>,
  ): grpc.ClientUnaryCall;
  updateSalesOrder(
    argument: _order_desk_v1_UpdateSalesOrderRequest,
    options: grpc.CallOptions,
    callback: grpc.requestCallback<_order_desk_v1_SalesOrder__Output>,
  ): grpc.ClientUnaryCall;
  updateSalesOrder(
    argument: _order_desk_v1_UpdateSalesOrderRequest,
    callback: grpc.requestCallback<_order_desk_v1_SalesOrder__Output>,
  ): grpc.ClientUnaryCall;

  WatchSalesOrders(
    metadata: grpc.Metadata,
    options?: grpc.CallOptions,
  ): grpc.ClientDuplexStream<_order_desk_v1_WatchSalesOrdersRequest, _order_desk_v1_SalesOrder__Output>;
  WatchSalesOrders(
    options?: grpc.CallOptions,
  ): grpc.ClientDuplexStream<_order_desk_v1_WatchSalesOrdersRequest, _order_desk_v1_SalesOrder__Output>;
  watchSalesOrders(
    metadata: grpc.Metadata,
    options?: grpc.CallOptions,
  ): grpc.ClientDuplexStream<_order_desk_v1_WatchSalesOrdersRequest, _order_desk_v1_SalesOrder__Output>;
  watchSalesOrders(
    options?: grpc.CallOptions,
  ): grpc.ClientDuplexStream<_order_desk_v1_WatchSalesOrdersRequest, _order_desk_v1_SalesOrder__Output>;
}

export interface SalesOrderServiceHandlers extends grpc.UntypedServiceImplementation {
  CreateSalesOrder: grpc.handleUnaryCall<
    _order_desk_v1_CreateSalesOrderRequest__Output,
    _order_desk_v1_CreateSalesOrderResponse
  >;

  GetSalesOrder: grpc.handleUnaryCall<_order_desk_v1_GetSalesOrderRequest__Output, _order_desk_v1_SalesOrder>;

  ImportSalesOrders: grpc.handleClientStreamingCall<
    _order_desk_v1_CreateSalesOrderRequest__Output,
    _order_desk_v1_ImportSalesOrdersResponse
  >;

  ListSalesOrders: grpc.handleServerStreamingCall<
    _order_desk_v1_ListSalesOrdersRequest__Output,
    _order_desk_v1_SalesOrder
  >;

  UpdateSalesOrder: grpc.handleUnaryCall<_order_desk_v1_UpdateSalesOrderRequest__Output, _order_desk_v1_SalesOrder>;

  WatchSalesOrders: grpc.handleBidiStreamingCall<
    _order_desk_v1_WatchSalesOrdersRequest__Output,
    _order_desk_v1_SalesOrder
  >;
}

export interface SalesOrderServiceDefinition extends grpc.ServiceDefinition {
  CreateSalesOrder: MethodDefinition<
    _order_desk_v1_CreateSalesOrderRequest,
    _order_desk_v1_CreateSalesOrderResponse,
    _order_desk_v1_CreateSalesOrderRequest__Output,
    _order_desk_v1_CreateSalesOrderResponse__Output
  >;
  GetSalesOrder: MethodDefinition<
    _order_desk_v1_GetSalesOrderRequest,
    _order_desk_v1_SalesOrder,
    _order_desk_v1_GetSalesOrderRequest__Output,
    _order_desk_v1_SalesOrder__Output
  >;
  ImportSalesOrders: MethodDefinition<
    _order_desk_v1_CreateSalesOrderRequest,
    _order_desk_v1_ImportSalesOrdersResponse,
    _order_desk_v1_CreateSalesOrderRequest__Output,
    _order_desk_v1_ImportSalesOrdersResponse__Output
  >;
  ListSalesOrders: MethodDefinition<
    _order_desk_v1_ListSalesOrdersRequest,
    _order_desk_v1_SalesOrder,
    _order_desk_v1_ListSalesOrdersRequest__Output,
    _order_desk_v1_SalesOrder__Output
  >;
  UpdateSalesOrder: MethodDefinition<
    _order_desk_v1_UpdateSalesOrderRequest,
    _order_desk_v1_SalesOrder,
    _order_desk_v1_UpdateSalesOrderRequest__Output,
    _order_desk_v1_SalesOrder__Output
  >;
  WatchSalesOrders: MethodDefinition<
    _order_desk_v1_WatchSalesOrdersRequest,
    _order_desk_v1_SalesOrder,
    _order_desk_v1_WatchSalesOrdersRequest__Output,
    _order_desk_v1_SalesOrder__Output
  >;
}
