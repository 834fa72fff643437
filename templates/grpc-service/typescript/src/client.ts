import { Readable, type Writable } from 'node:stream';
import { type CallOptions, type ClientDuplexStream, credentials, type ServiceError } from '@grpc/grpc-js';
import type { CreateSalesOrderRequest } from './gen/order_desk/v1/CreateSalesOrderRequest.ts';
import type { CreateSalesOrderResponse__Output as CreateResponse } from './gen/order_desk/v1/CreateSalesOrderResponse.ts';
import type { ImportSalesOrdersResponse__Output as ImportResponse } from './gen/order_desk/v1/ImportSalesOrdersResponse.ts';
import type { ListSalesOrdersRequest } from './gen/order_desk/v1/ListSalesOrdersRequest.ts';
import type { SalesOrder__Output as SalesOrder } from './gen/order_desk/v1/SalesOrder.ts';
import type { SalesOrderStatus } from './gen/order_desk/v1/SalesOrderStatus.ts';
import type { WatchSalesOrdersRequest } from './gen/order_desk/v1/WatchSalesOrdersRequest.ts';
import { passingTraceOn } from './interceptors.ts';
import { SalesOrderService, SERVICE_NAME } from './proto.ts';

/** For other services and tests. Failed calls reject with grpc-js's ServiceError; `violationsOf` reads its details. */
export interface OrderDeskClient {
  create(request: CreateSalesOrderRequest): Promise<CreateResponse>;
  get(id: string): Promise<SalesOrder>;
  update(id: string, status: SalesOrderStatus): Promise<SalesOrder>;
  list(filter?: ListSalesOrdersRequest): AsyncIterable<SalesOrder>;
  import(requests: AsyncIterable<CreateSalesOrderRequest> | Iterable<CreateSalesOrderRequest>): Promise<ImportResponse>;
  /** The caller writes what to watch, reads the states, and ends or cancels it. */
  watch(): ClientDuplexStream<WatchSalesOrdersRequest, SalesOrder>;
  close(): void;
}

/** Tries again what the server has not worked on, or what is safe because of its idempotency key. */
const SERVICE_CONFIG = {
  methodConfig: [
    {
      name: [{ service: SERVICE_NAME }],
      retryPolicy: {
        maxAttempts: 3,
        initialBackoff: '0.05s',
        maxBackoff: '1s',
        backoffMultiplier: 2,
        retryableStatusCodes: ['UNAVAILABLE'],
      },
    },
  ],
};

/** @param address `http://host:port`, as in ORDER_DESK_URL, or `host:port` */
export function createClient(
  address: string,
  { deadlineMs = 5_000, streamDeadlineMs = 30_000 }: { deadlineMs?: number; streamDeadlineMs?: number } = {},
): OrderDeskClient {
  const client = new SalesOrderService(
    address.replace(/^https?:\/\//, '').replace(/\/$/, ''),
    credentials.createInsecure(),
    {
      interceptors: [passingTraceOn],
      'grpc.service_config': JSON.stringify(SERVICE_CONFIG),
    },
  );
  const options = (ms = deadlineMs): CallOptions => ({ deadline: Date.now() + ms });
  const answer =
    <R>(resolve: (response: R) => void, reject: (error: ServiceError) => void) =>
    (error: ServiceError | null, response?: R): void =>
      error === null ? resolve(response!) : reject(error);

  return {
    create: (request) =>
      new Promise((resolve, reject) => client.createSalesOrder(request, options(), answer(resolve, reject))),
    get: (id) => new Promise((resolve, reject) => client.getSalesOrder({ id }, options(), answer(resolve, reject))),
    update: (id, status) =>
      new Promise((resolve, reject) => client.updateSalesOrder({ id, status }, options(), answer(resolve, reject))),
    list: (filter = {}) => client.listSalesOrders(filter, options(streamDeadlineMs)),
    import: (requests) =>
      new Promise((resolve, reject) => {
        const call = client.importSalesOrders(options(streamDeadlineMs), answer(resolve, reject));
        // pipe() writes only as fast as the server reads.
        Readable.from(requests)
          .once('error', (error) => {
            call.cancel();
            reject(error);
          })
          .pipe(call as unknown as Writable);
      }),
    watch: () => client.watchSalesOrders(),
    close: () => client.close(),
  };
}
