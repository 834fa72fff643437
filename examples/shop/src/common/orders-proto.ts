import { fileURLToPath } from 'node:url';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ProtoGrpcType } from '../gen/orders.ts';

const protoDir = fileURLToPath(new URL('../../proto', import.meta.url));

/** shop.v1.OrderService for servers and clients. The types in src/gen were made with the same options: `npm run gen`. */
export function loadOrderService(): ProtoGrpcType['shop']['v1']['OrderService'] {
  const definition = loadSync('shop/v1/orders.proto', {
    includeDirs: [protoDir],
    longs: String, // an int64 does not fit into a number
    enums: String,
    defaults: true,
  });
  return (loadPackageDefinition(definition) as unknown as ProtoGrpcType).shop.v1.OrderService;
}
