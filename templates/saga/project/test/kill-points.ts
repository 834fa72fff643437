import { AsyncLocalStorage } from 'node:async_hooks';
import type { Database, Queryable } from '../../../shared/database.ts';
import { createInventory } from '../src/inventory.ts';
import { createPayments } from '../src/payments.ts';
import { Refused } from '../src/saga/definition.ts';
import type { Participants } from '../src/sales-order-saga.ts';
import { createSalesOrders } from '../src/sales-orders.ts';

/** In the middle: between its first statement and its second. After: it is done, and its saga has not noted that. */
export type Moment = 'middle' | 'after';

/** What participants do for a saga, and where a process dies; before a call is after the one before it. */
export const FORWARD = {
  create: ['after'],
  reserve: ['middle', 'after'],
  take: ['middle', 'after'],
  confirm: ['after'],
};
export const BACKWARD = { refund: ['middle', 'after'], release: ['middle', 'after'], cancel: ['middle', 'after'] };
export type CallName = keyof typeof FORWARD | keyof typeof BACKWARD;

/**
 * IDs say what shall happen: `undo` sagas are not confirmed, and the process dies once at the moment in their name; of
 * `stop` it is only suspended.
 */
export const sagaIds = (ending: 'do' | 'undo' | 'stop', calls: Record<string, string[]>): string[] =>
  Object.entries(calls).flatMap(([call, moments]) => moments.map((moment) => `${ending}.${call}.${moment}`));

interface Making {
  readonly saga: string;
  readonly call: CallName;
  statements: number;
}

/** The real participants, in a process that kills itself where the IDs of sagas say so. */
export function deadlyParticipants(database: Database): Participants {
  const making = new AsyncLocalStorage<Making>();

  /** Once for each saga: what is noted in `kills` is done. */
  const dieAt = async (moment: Moment, { saga, call }: Making): Promise<void> => {
    if (!saga.endsWith(`.${call}.${moment}`)) return;
    const { rowCount } = await database.query('INSERT INTO kills (saga) VALUES ($1) ON CONFLICT (saga) DO NOTHING', [
      saga,
    ]);
    if (rowCount === 1) process.kill(process.pid, saga.startsWith('stop') ? 'SIGSTOP' : 'SIGKILL');
  };
  const watched = (tx: Queryable): Queryable => ({
    query: (async (...args: unknown[]) => {
      const call = making.getStore();
      if (call !== undefined && call.statements++ === 1) await dieAt('middle', call);
      return (tx.query as (...all: unknown[]) => Promise<unknown>)(...args);
    }) as Queryable['query'],
  });
  const deadly: Database = {
    ...database,
    ...watched(database),
    transaction: (work, timeoutMs) => database.transaction((tx) => work(watched(tx)), timeoutMs),
  };
  const during = <T>(call: CallName, key: string, work: () => Promise<T>): Promise<T> => {
    const made: Making = { saga: key.split('/')[0], call, statements: 0 };
    return making.run(made, async () => {
      const result = await work();
      await dieAt('after', made);
      return result;
    });
  };

  const salesOrders = createSalesOrders(deadly);
  const inventory = createInventory(deadly);
  const payments = createPayments(deadly);
  return {
    salesOrders: {
      ...salesOrders,
      create: (id, wanted) => during('create', id, () => salesOrders.create(id, wanted)),
      async confirm(id) {
        if (id.startsWith('undo')) throw new Refused('this one is to be undone');
        return during('confirm', id, () => salesOrders.confirm(id));
      },
      cancel: (id, wanted) => during('cancel', id, () => salesOrders.cancel(id, wanted)),
    },
    inventory: {
      reserve: (key, ...rest) => during('reserve', key, () => inventory.reserve(key, ...rest)),
      release: (key, ...rest) => during('release', key, () => inventory.release(key, ...rest)),
    },
    payments: {
      take: (key, ...rest) => during('take', key, () => payments.take(key, ...rest)),
      refund: (key, ...rest) => during('refund', key, () => payments.refund(key, ...rest)),
    },
  };
}
