import { promisify } from 'node:util';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { createLog } from '../common/log.ts';
import { loadOrderService } from '../common/orders-proto.ts';
import { msFrom, type RunningService, type StartOptions, selfFrom, urlFrom } from '../common/service.ts';
import { createCheckout } from './checkout.ts';
import { createCompensation } from './compensation.ts';
import { createDownstream } from './downstream.ts';
import { fulfil } from './fulfilment.ts';
import { orderMethods } from './methods.ts';
import { createOrderStore } from './store.ts';

const shutdownMs = 4_000;

export async function startOrders({ port, env }: StartOptions): Promise<RunningService> {
  const self = selfFrom(env, 'orders');
  const log = createLog(env, self);
  const draining = new AbortController(); // no new work: streams end
  const drained = new AbortController(); // the last call is answered
  const store = createOrderStore();
  const downstream = createDownstream(urlFrom(env, 'inventory'), urlFrom(env, 'payments'));
  const checkout = createCheckout(store, downstream, createCompensation(drained.signal, log));
  void fulfil(store, msFrom(env, 'FULFILMENT_STEP_MS', 2_000), draining.signal);

  const health = new HealthImplementation({ '': 'SERVING', 'shop.v1.OrderService': 'SERVING' });
  const server = new Server();
  server.addService(
    loadOrderService().service,
    orderMethods({ self, log, store, checkout, draining: draining.signal }),
  );
  health.addToServer(server);
  const bind = promisify(server.bindAsync.bind(server));
  const boundPort = await bind(`${env.HOST ?? '127.0.0.1'}:${port}`, ServerCredentials.createInsecure());
  const url = `http://127.0.0.1:${boundPort}`;
  log(`listening on ${url}`);

  async function stop(): Promise<void> {
    if (draining.signal.aborted) return;
    health.setStatus('', 'NOT_SERVING');
    health.setStatus('shop.v1.OrderService', 'NOT_SERVING');
    const deadline = setTimeout(() => server.forceShutdown(), shutdownMs);
    const closed = promisify(server.tryShutdown.bind(server))();
    draining.abort();
    await closed;
    drained.abort();
    clearTimeout(deadline);
    log('stopped');
  }
  return { url, stop };
}
