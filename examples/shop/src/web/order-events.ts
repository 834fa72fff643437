import { type ClientReadableStream, type ServiceError, status } from '@grpc/grpc-js';
import type { Reply } from '../common/http-server.ts';
import type { Order__Output as Order } from '../gen/shop/v1/Order.ts';
import { grpcProblem } from './grpc-problem.ts';
import { orderJson } from './order-json.ts';

/** A gRPC stream of an order's states as server-sent events, one `order` event each. */
export async function orderEvents(updates: ClientReadableStream<Order>): Promise<Reply> {
  const states = updates[Symbol.asyncIterator]() as AsyncIterator<Order>;
  try {
    // An answer has one status only: wait with it until it is clear that there is something to stream.
    const first = await states.next();
    return {
      status: 200,
      type: 'text/event-stream',
      headers: { 'cache-control': 'no-store' },
      body: eventsOf(first, states),
    };
  } catch (error) {
    return grpcProblem(error as ServiceError);
  }
}

async function* eventsOf(first: IteratorResult<Order>, states: AsyncIterator<Order>): AsyncGenerator<string> {
  try {
    for (let state = first; !state.done; state = await states.next()) {
      yield `event: order\ndata: ${JSON.stringify(orderJson(state.value))}\n\n`;
    }
  } catch (error) {
    // CANCELLED is the browser that went away. Whatever else: the stream ends, and the browser asks again.
    const { code, details } = error as ServiceError;
    if (code !== status.CANCELLED) yield `: ${details}\n\n`;
  }
}
