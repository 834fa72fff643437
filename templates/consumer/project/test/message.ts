import { randomUUID } from 'node:crypto';
import type { BusMessage } from '../../../shared/postgres-bus.ts';
import { TOPIC } from '../src/events.ts';

/** A message as the bus delivers it. */
export function message({ headers = {}, ...rest }: Partial<BusMessage> = {}): BusMessage {
  return {
    topic: TOPIC,
    key: randomUUID(),
    payload: { total: { amount: 1250, currency: 'EUR' } },
    headers: { id: randomUUID(), type: 'SalesOrderConfirmed', ...headers },
    position: 1,
    publishedAt: new Date('2026-03-04T05:06:07Z'),
    attempt: 1,
    ...rest,
  };
}
