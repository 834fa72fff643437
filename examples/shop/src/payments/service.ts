import * as v from 'valibot';
import { check } from '../common/check.ts';
import { hopOf } from '../common/hop.ts';
import { problem, type Route, serveHttp } from '../common/http-server.ts';
import { createLog } from '../common/log.ts';
import { type RunningService, type StartOptions, selfFrom } from '../common/service.ts';
import { createLedger } from './ledger.ts';

const Key = v.pipe(v.string(), v.regex(/^[\w-]{1,100}$/, 'must be 1 to 100 letters, digits, _ or -'));
const Money = v.object({
  amount: v.pipe(v.string(), v.regex(/^[1-9]\d{0,17}$/, 'must be a positive number of minor units, as a string')),
  currency: v.pipe(v.string(), v.regex(/^[A-Z]{3}$/, 'must be a currency code like EUR')),
});
const Charge = v.object({ key: Key, amount: Money, token: v.pipe(v.string(), v.minLength(1), v.maxLength(200)) });
const Refund = v.object({ key: Key });

export async function startPayments({ port, env }: StartOptions): Promise<RunningService> {
  const self = selfFrom(env, 'payments');
  const ledger = createLedger();

  const routes: Route[] = [
    {
      method: 'POST',
      path: '/charge',
      reply({ body, caller }) {
        const servedBy = hopOf(self, 'charge', caller);
        const input = check(Charge, body);
        if (!input.ok) return problem(400, 'Invalid charge', input.error, { servedBy });
        const charged = ledger.charge(input.value);
        if (!charged.ok) return problem(409, 'Key already used', charged.error, { servedBy });
        const payment = charged.value;
        if (payment.status === 'captured') return { status: 201, body: { payment, servedBy } };
        return problem(402, 'Payment declined', payment.reason ?? `the payment is ${payment.status}`, {
          payment,
          servedBy,
        });
      },
    },
    {
      method: 'POST',
      path: '/refund',
      reply({ body, caller }) {
        const servedBy = hopOf(self, 'refund', caller);
        const input = check(Refund, body);
        if (!input.ok) return problem(400, 'Invalid refund', input.error, { servedBy });
        return { status: 200, body: { payment: ledger.refund(input.value.key) ?? null, servedBy } };
      },
    },
    {
      method: 'GET',
      path: '/payments/:id',
      reply({ params: { id }, caller }) {
        const payment = ledger.find(id);
        if (!payment) return problem(404, 'Unknown payment', `There is no ${id}.`);
        return { status: 200, body: { payment, servedBy: hopOf(self, 'show payment', caller) } };
      },
    },
  ];
  return serveHttp(routes, { port, env }, createLog(env, self));
}
