import { readFile } from 'node:fs/promises';
import type { ServiceError } from '@grpc/grpc-js';
import { type Reply, type Route, serveHttp } from '../common/http-server.ts';
import { createLog } from '../common/log.ts';
import type { Result } from '../common/result.ts';
import { type RunningService, type StartOptions, selfFrom, urlFrom } from '../common/service.ts';
import type { Order__Output as Order } from '../gen/shop/v1/Order.ts';
import { checkOut } from './checkout.ts';
import { grpcProblem } from './grpc-problem.ts';
import { orderEvents } from './order-events.ts';
import { orderJson } from './order-json.ts';
import { connectOrders } from './orders-client.ts';
import { listProducts } from './products.ts';

const shownOrders = 20;

export async function startWeb({ port, env }: StartOptions): Promise<RunningService> {
  const self = selfFrom(env, 'web');
  const page = await readFile(new URL('page.html', import.meta.url), 'utf8');
  const inventoryUrl = urlFrom(env, 'inventory');
  const orders = connectOrders(urlFrom(env, 'orders'));

  const oneOrder = (found: Result<Order, ServiceError>): Reply =>
    found.ok ? { status: 200, body: orderJson(found.value) } : grpcProblem(found.error);

  const routes: Route[] = [
    { method: 'GET', path: '/', reply: () => ({ status: 200, type: 'text/html; charset=utf-8', body: page }) },
    {
      method: 'GET',
      path: '/api/products',
      reply: async (request) => ({ status: 200, body: await listProducts(inventoryUrl, request) }),
    },
    { method: 'POST', path: '/api/checkout', reply: (request) => checkOut(request, self, orders) },
    {
      method: 'GET',
      path: '/api/orders',
      async reply(request) {
        const listed = await orders.list(shownOrders, request);
        return listed.ok ? { status: 200, body: { orders: listed.value.map(orderJson) } } : grpcProblem(listed.error);
      },
    },
    {
      method: 'GET',
      path: '/api/orders/:id',
      reply: async (request) => oneOrder(await orders.get(request.params.id, request)),
    },
    {
      method: 'POST',
      path: '/api/orders/:id/cancel',
      reply: async (request) =>
        oneOrder(await orders.update({ id: request.params.id, status: 'ORDER_STATUS_CANCELLED' }, request)),
    },
    {
      method: 'GET',
      path: '/api/orders/:id/events',
      reply: (request) => orderEvents(orders.watch(request.params.id, request)),
    },
  ];

  const server = await serveHttp(routes, { port, env }, createLog(env, self));
  return {
    url: server.url,
    async stop() {
      await server.stop();
      orders.close();
    },
  };
}
