import type { Changes } from './changes.ts';
import type { SalesOrder__Output as SalesOrder } from './gen/order_desk/v1/SalesOrder.ts';
import type { WatchSalesOrdersRequest__Output as WatchRequest } from './gen/order_desk/v1/WatchSalesOrdersRequest.ts';
import { isFinal } from './status.ts';
import type { SalesOrderStore } from './store.ts';
import { checkId } from './validation.ts';

const READ_TIMEOUT_MS = 5_000;

/** The states of what the requests name, as they change. @throws CallError INVALID_ARGUMENT for an id that is none */
export async function* watch(
  requests: AsyncIterable<WatchRequest>,
  signal: AbortSignal,
  store: SalesOrderStore,
  changes: Changes,
): AsyncGenerator<SalesOrder> {
  const watched = new Set<string>();
  // By id: a reader that is slower than the changes costs one entry for each, not one for each change.
  const unread = new Set<string>();
  /** `updatedAt` and status of what was sent last: a notification may tell nothing new. */
  const sent = new Map<string, string>();
  let asked = true;
  let failure: unknown;
  let wake = (): void => {};

  const unsubscribe = changes.subscribe((id) => {
    if (id === null) for (const each of watched) unread.add(each);
    else if (watched.has(id)) unread.add(id);
    wake();
  });
  const onAbort = (): void => wake();
  signal.addEventListener('abort', onAbort);
  const reading = (async () => {
    for await (const { id, stop } of requests) {
      checkId(id);
      if (stop) {
        watched.delete(id);
        unread.delete(id);
        sent.delete(id);
      } else {
        watched.add(id);
        unread.add(id);
      }
      wake();
    }
  })();
  void reading
    .catch((error) => (failure = error))
    .finally(() => {
      asked = false;
      wake();
    });

  try {
    while (!signal.aborted) {
      if (failure !== undefined) throw failure;
      for (const id of unread) {
        unread.delete(id);
        const found = await store.get(id, READ_TIMEOUT_MS);
        if (found === undefined || !watched.has(id)) continue;
        const state = `${found.status} ${found.updatedAt?.seconds}.${found.updatedAt?.nanos}`;
        if (sent.get(id) !== state) {
          sent.set(id, state);
          yield found;
        }
        if (isFinal(found.status)) watched.delete(id);
      }
      if (unread.size > 0) continue;
      if (!asked && watched.size === 0) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (signal.aborted || failure !== undefined || unread.size > 0 || (!asked && watched.size === 0)) resolve();
      });
    }
  } finally {
    unsubscribe();
    signal.removeEventListener('abort', onAbort);
  }
}
