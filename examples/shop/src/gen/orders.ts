import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type {
  Timestamp as _google_protobuf_Timestamp,
  Timestamp__Output as _google_protobuf_Timestamp__Output,
} from './google/protobuf/Timestamp.ts';
import type {
  CreateOrderRequest as _shop_v1_CreateOrderRequest,
  CreateOrderRequest__Output as _shop_v1_CreateOrderRequest__Output,
} from './shop/v1/CreateOrderRequest.ts';
import type {
  CreateOrderResponse as _shop_v1_CreateOrderResponse,
  CreateOrderResponse__Output as _shop_v1_CreateOrderResponse__Output,
} from './shop/v1/CreateOrderResponse.ts';
import type {
  GetOrderRequest as _shop_v1_GetOrderRequest,
  GetOrderRequest__Output as _shop_v1_GetOrderRequest__Output,
} from './shop/v1/GetOrderRequest.ts';
import type { Hop as _shop_v1_Hop, Hop__Output as _shop_v1_Hop__Output } from './shop/v1/Hop.ts';
import type {
  ListOrdersRequest as _shop_v1_ListOrdersRequest,
  ListOrdersRequest__Output as _shop_v1_ListOrdersRequest__Output,
} from './shop/v1/ListOrdersRequest.ts';
import type { Money as _shop_v1_Money, Money__Output as _shop_v1_Money__Output } from './shop/v1/Money.ts';
import type { Order as _shop_v1_Order, Order__Output as _shop_v1_Order__Output } from './shop/v1/Order.ts';
import type {
  OrderItem as _shop_v1_OrderItem,
  OrderItem__Output as _shop_v1_OrderItem__Output,
} from './shop/v1/OrderItem.ts';
import type {
  OrderServiceClient as _shop_v1_OrderServiceClient,
  OrderServiceDefinition as _shop_v1_OrderServiceDefinition,
} from './shop/v1/OrderService.ts';
import type {
  StreamOrderUpdatesRequest as _shop_v1_StreamOrderUpdatesRequest,
  StreamOrderUpdatesRequest__Output as _shop_v1_StreamOrderUpdatesRequest__Output,
} from './shop/v1/StreamOrderUpdatesRequest.ts';
import type {
  UpdateOrderRequest as _shop_v1_UpdateOrderRequest,
  UpdateOrderRequest__Output as _shop_v1_UpdateOrderRequest__Output,
} from './shop/v1/UpdateOrderRequest.ts';

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
  shop: {
    v1: {
      CreateOrderRequest: MessageTypeDefinition<_shop_v1_CreateOrderRequest, _shop_v1_CreateOrderRequest__Output>;
      CreateOrderResponse: MessageTypeDefinition<_shop_v1_CreateOrderResponse, _shop_v1_CreateOrderResponse__Output>;
      GetOrderRequest: MessageTypeDefinition<_shop_v1_GetOrderRequest, _shop_v1_GetOrderRequest__Output>;
      Hop: MessageTypeDefinition<_shop_v1_Hop, _shop_v1_Hop__Output>;
      ListOrdersRequest: MessageTypeDefinition<_shop_v1_ListOrdersRequest, _shop_v1_ListOrdersRequest__Output>;
      Money: MessageTypeDefinition<_shop_v1_Money, _shop_v1_Money__Output>;
      Order: MessageTypeDefinition<_shop_v1_Order, _shop_v1_Order__Output>;
      OrderItem: MessageTypeDefinition<_shop_v1_OrderItem, _shop_v1_OrderItem__Output>;
      OrderService: SubtypeConstructor<typeof grpc.Client, _shop_v1_OrderServiceClient> & {
        service: _shop_v1_OrderServiceDefinition;
      };
      OrderStatus: EnumTypeDefinition;
      StreamOrderUpdatesRequest: MessageTypeDefinition<
        _shop_v1_StreamOrderUpdatesRequest,
        _shop_v1_StreamOrderUpdatesRequest__Output
      >;
      UpdateOrderRequest: MessageTypeDefinition<_shop_v1_UpdateOrderRequest, _shop_v1_UpdateOrderRequest__Output>;
    };
  };
}
