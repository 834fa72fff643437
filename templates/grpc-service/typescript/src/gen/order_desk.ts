import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type {
  Timestamp as _google_protobuf_Timestamp,
  Timestamp__Output as _google_protobuf_Timestamp__Output,
} from './google/protobuf/Timestamp.ts';
import type {
  CreateSalesOrderRequest as _order_desk_v1_CreateSalesOrderRequest,
  CreateSalesOrderRequest__Output as _order_desk_v1_CreateSalesOrderRequest__Output,
} from './order_desk/v1/CreateSalesOrderRequest.ts';
import type {
  CreateSalesOrderResponse as _order_desk_v1_CreateSalesOrderResponse,
  CreateSalesOrderResponse__Output as _order_desk_v1_CreateSalesOrderResponse__Output,
} from './order_desk/v1/CreateSalesOrderResponse.ts';
import type {
  GetSalesOrderRequest as _order_desk_v1_GetSalesOrderRequest,
  GetSalesOrderRequest__Output as _order_desk_v1_GetSalesOrderRequest__Output,
} from './order_desk/v1/GetSalesOrderRequest.ts';
import type {
  ImportSalesOrdersResponse as _order_desk_v1_ImportSalesOrdersResponse,
  ImportSalesOrdersResponse__Output as _order_desk_v1_ImportSalesOrdersResponse__Output,
} from './order_desk/v1/ImportSalesOrdersResponse.ts';
import type {
  LineItem as _order_desk_v1_LineItem,
  LineItem__Output as _order_desk_v1_LineItem__Output,
} from './order_desk/v1/LineItem.ts';
import type {
  ListSalesOrdersRequest as _order_desk_v1_ListSalesOrdersRequest,
  ListSalesOrdersRequest__Output as _order_desk_v1_ListSalesOrdersRequest__Output,
} from './order_desk/v1/ListSalesOrdersRequest.ts';
import type {
  Money as _order_desk_v1_Money,
  Money__Output as _order_desk_v1_Money__Output,
} from './order_desk/v1/Money.ts';
import type {
  SalesOrder as _order_desk_v1_SalesOrder,
  SalesOrder__Output as _order_desk_v1_SalesOrder__Output,
} from './order_desk/v1/SalesOrder.ts';
import type {
  SalesOrderServiceClient as _order_desk_v1_SalesOrderServiceClient,
  SalesOrderServiceDefinition as _order_desk_v1_SalesOrderServiceDefinition,
} from './order_desk/v1/SalesOrderService.ts';
import type {
  UpdateSalesOrderRequest as _order_desk_v1_UpdateSalesOrderRequest,
  UpdateSalesOrderRequest__Output as _order_desk_v1_UpdateSalesOrderRequest__Output,
} from './order_desk/v1/UpdateSalesOrderRequest.ts';
import type {
  WatchSalesOrdersRequest as _order_desk_v1_WatchSalesOrdersRequest,
  WatchSalesOrdersRequest__Output as _order_desk_v1_WatchSalesOrdersRequest__Output,
} from './order_desk/v1/WatchSalesOrdersRequest.ts';

// biome-ignore lint/suspicious/noExplicitAny: generated
type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new (...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  google: {
    protobuf: {
      Timestamp: MessageTypeDefinition<_google_protobuf_Timestamp, _google_protobuf_Timestamp__Output>;
    };
  };
  order_desk: {
    v1: {
      CreateSalesOrderRequest: MessageTypeDefinition<
        _order_desk_v1_CreateSalesOrderRequest,
        _order_desk_v1_CreateSalesOrderRequest__Output
      >;
      CreateSalesOrderResponse: MessageTypeDefinition<
        _order_desk_v1_CreateSalesOrderResponse,
        _order_desk_v1_CreateSalesOrderResponse__Output
      >;
      GetSalesOrderRequest: MessageTypeDefinition<
        _order_desk_v1_GetSalesOrderRequest,
        _order_desk_v1_GetSalesOrderRequest__Output
      >;
      ImportSalesOrdersResponse: MessageTypeDefinition<
        _order_desk_v1_ImportSalesOrdersResponse,
        _order_desk_v1_ImportSalesOrdersResponse__Output
      >;
      LineItem: MessageTypeDefinition<_order_desk_v1_LineItem, _order_desk_v1_LineItem__Output>;
      ListSalesOrdersRequest: MessageTypeDefinition<
        _order_desk_v1_ListSalesOrdersRequest,
        _order_desk_v1_ListSalesOrdersRequest__Output
      >;
      Money: MessageTypeDefinition<_order_desk_v1_Money, _order_desk_v1_Money__Output>;
      SalesOrder: MessageTypeDefinition<_order_desk_v1_SalesOrder, _order_desk_v1_SalesOrder__Output>;
      SalesOrderService: SubtypeConstructor<typeof grpc.Client, _order_desk_v1_SalesOrderServiceClient> & {
        service: _order_desk_v1_SalesOrderServiceDefinition;
      };
      SalesOrderStatus: EnumTypeDefinition;
      UpdateSalesOrderRequest: MessageTypeDefinition<
        _order_desk_v1_UpdateSalesOrderRequest,
        _order_desk_v1_UpdateSalesOrderRequest__Output
      >;
      WatchSalesOrdersRequest: MessageTypeDefinition<
        _order_desk_v1_WatchSalesOrdersRequest,
        _order_desk_v1_WatchSalesOrdersRequest__Output
      >;
    };
  };
}
