import * as v from 'valibot';
import { check } from '../common/check.ts';
import { hopOf } from '../common/hop.ts';
import { problem, type Route, serveHttp } from '../common/http-server.ts';
import { createLog } from '../common/log.ts';
import { msFrom, type RunningService, type StartOptions, selfFrom } from '../common/service.ts';
import { createStock } from './stock.ts';

const Id = v.pipe(v.string(), v.nonEmpty('must not be empty'), v.maxLength(100));
const Line = v.object({ sku: Id, quantity: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(99)) });
const Reservation = v.object({ id: Id, items: v.pipe(v.array(Line), v.minLength(1), v.maxLength(20)) });
const Release = v.object({ id: Id });

/** VERSION=v2 is the new release on trial: it also says how long delivery takes. */
export async function startInventory({ port, env }: StartOptions): Promise<RunningService> {
  const self = { ...selfFrom(env, 'inventory'), version: env.VERSION ?? 'v1' };
  const log = createLog(env, self);
  const stock = createStock();

  const describe = (sku: string, available: number) =>
    self.version === 'v2' ? { sku, available, deliveryDays: available > 0 ? 2 : 14 } : { sku, available };

  const routes: Route[] = [
    {
      method: 'GET',
      path: '/stock',
      reply: ({ caller }) => ({
        status: 200,
        body: {
          items: stock.list().map(({ sku, available }) => describe(sku, available)),
          servedBy: hopOf(self, 'list stock', caller),
        },
      }),
    },
    {
      method: 'GET',
      path: '/stock/:sku',
      reply({ params: { sku }, caller }) {
        const available = stock.available(sku);
        if (available === undefined) return problem(404, 'Unknown SKU', `There is no ${sku}.`);
        return { status: 200, body: { ...describe(sku, available), servedBy: hopOf(self, 'show stock', caller) } };
      },
    },
    {
      method: 'POST',
      path: '/reserve',
      reply({ body, caller }) {
        const servedBy = hopOf(self, 'reserve', caller);
        const input = check(Reservation, body);
        if (!input.ok) return problem(400, 'Invalid reservation', input.error, { servedBy });
        const reserved = stock.reserve(input.value.id, input.value.items);
        if (reserved.ok) return { status: 201, body: { id: input.value.id, servedBy } };
        const { kind, detail } = reserved.error;
        return kind === 'unknown-sku'
          ? problem(404, 'Unknown SKU', detail, { servedBy })
          : problem(409, 'Out of stock', detail, { servedBy });
      },
    },
    {
      method: 'POST',
      path: '/release',
      reply({ body, caller }) {
        const servedBy = hopOf(self, 'release', caller);
        const input = check(Release, body);
        if (!input.ok) return problem(400, 'Invalid release', input.error, { servedBy });
        // 200 also where nothing was reserved: a release is repeated until it is heard.
        return { status: 200, body: { released: stock.release(input.value.id), servedBy } };
      },
    },
  ];

  const supplier = setInterval(() => stock.restock(), msFrom(env, 'RESTOCK_MS', 10_000)).unref();
  const server = await serveHttp(routes, { port, env }, log);
  return {
    url: server.url,
    async stop() {
      clearInterval(supplier);
      await server.stop();
    },
  };
}
