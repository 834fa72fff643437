import {
  type CallOptions,
  type ClientReadableStream,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type requestCallback,
  type ServiceError,
} from '@grpc/grpc-js';
import type { HttpRequest } from '../common/http-server.ts';
import { loadOrderService } from '../common/orders-proto.ts';
import { headersToPassOn } from '../common/pass-on.ts';
import { fail, ok, type Result } from '../common/result.ts';
import type { CreateOrderRequest } from '../gen/shop/v1/CreateOrderRequest.ts';
import type { CreateOrderResponse__Output as CreateOrderResponse } from '../gen/shop/v1/CreateOrderResponse.ts';
import type { Order__Output as Order } from '../gen/shop/v1/Order.ts';
import type { UpdateOrderRequest } from '../gen/shop/v1/UpdateOrderRequest.ts';

/** Every call carries the trace of the HTTP request it is made for, and ends when that request's caller goes away. */
export interface OrdersClient {
  create(request: CreateOrderRequest, on: HttpRequest): Promise<Result<CreateOrderResponse, ServiceError>>;
  get(id: string, on: HttpRequest): Promise<Result<Order, ServiceError>>;
  update(request: UpdateOrderRequest, on: HttpRequest): Promise<Result<Order, ServiceError>>;
  list(limit: number, on: HttpRequest): Promise<Result<Order[], ServiceError>>;
  watch(id: string, on: HttpRequest): ClientReadableStream<Order>;
  close(): void;
}

const deadlineMs = 10_000;

export function connectOrders(url: string): OrdersClient {
  const OrderService = loadOrderService();
  const client = new OrderService(new URL(url).host, credentials.createInsecure());

  return {
    create: (request, on) =>
      unary(on, (metadata, options, done) => client.createOrder(request, metadata, options, done)),
    get: (id, on) => unary(on, (metadata, options, done) => client.getOrder({ id }, metadata, options, done)),
    update: (request, on) =>
      unary(on, (metadata, options, done) => client.updateOrder(request, metadata, options, done)),
    list: (limit, on) => collect(stopWith(on.signal, client.listOrders({ limit }, metadataOf(on), options()))),
    watch: (id, on) => stopWith(on.signal, client.streamOrderUpdates({ id }, metadataOf(on))),
    close: () => client.close(),
  };
}

function unary<R>(
  on: HttpRequest,
  start: (metadata: Metadata, options: CallOptions, done: requestCallback<R>) => ClientUnaryCall,
): Promise<Result<R, ServiceError>> {
  return new Promise((resolve) => {
    const done: requestCallback<R> = (error, value) => resolve(error ? fail(error) : ok(value!));
    stopWith(on.signal, start(metadataOf(on), options(), done));
  });
}

async function collect<T>(stream: ClientReadableStream<T>): Promise<Result<T[], ServiceError>> {
  const items: T[] = [];
  try {
    for await (const item of stream) items.push(item);
    return ok(items);
  } catch (error) {
    return fail(error as ServiceError);
  }
}

function options(): CallOptions {
  return { deadline: Date.now() + deadlineMs };
}

function metadataOf(on: HttpRequest): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headersToPassOn((name) => on.headers[name]))) metadata.set(name, value);
  return metadata;
}

function stopWith<C extends { cancel(): void }>(signal: AbortSignal, call: C): C {
  if (signal.aborted) call.cancel();
  signal.addEventListener('abort', () => call.cancel(), { once: true });
  return call;
}
