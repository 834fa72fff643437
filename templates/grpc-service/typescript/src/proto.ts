import { fileURLToPath } from 'node:url';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import type { BadRequest, BadRequest__Output } from './gen/google/rpc/BadRequest.ts';
import type { Status, Status__Output } from './gen/google/rpc/Status.ts';
import type { ProtoGrpcType } from './gen/order_desk.ts';

const directory = fileURLToPath(new URL('../proto', import.meta.url));

/** The types in src/gen were made with the same options: `npm run generate`. */
export const definition = loadSync(['order_desk/v1/order_desk.proto', 'google/rpc/error_details.proto'], {
  includeDirs: [directory],
  longs: String, // an int64 does not fit into a number
  enums: String,
  defaults: true,
});

export const { SalesOrderService } = (loadPackageDefinition(definition) as unknown as ProtoGrpcType).order_desk.v1;

export const SERVICE_NAME = 'order_desk.v1.SalesOrderService';

export const badRequestMessage = definition['google.rpc.BadRequest'] as MessageTypeDefinition<
  BadRequest,
  BadRequest__Output
>;
export const statusMessage = definition['google.rpc.Status'] as MessageTypeDefinition<Status, Status__Output>;
