import { EventEmitter } from 'node:events';
import type pg from 'pg';
import type { Database } from '../../../shared/database.ts';
import type { Log } from '../../../shared/log.ts';
import { retrying } from '../../../shared/process.ts';
import { CHANGES } from './store.ts';

/** What has changed, by this or any other replica. */
export interface Changes {
  /** Calls back with ids; after a break of the connection with null: anything may have changed. Returns the end of it. */
  subscribe(listener: (id: string | null) => void): () => void;
  close(): Promise<void>;
}

/** Listens on one connection for all who watch, and on another one if that breaks. */
export function listenForChanges(database: Database, log: Log): Changes {
  const emitter = new EventEmitter<{ change: [string | null] }>().setMaxListeners(0);
  const closing = new AbortController();
  let client: pg.Client | null = null;

  async function connect(): Promise<void> {
    const next = await database.connect();
    next.on('notification', ({ payload }) => emitter.emit('change', payload ?? null));
    next.once('error', () => void next.end().catch(() => {}));
    await next.query(`LISTEN ${CHANGES}`);
    next.once('end', () => {
      client = null;
      start();
    });
    client = next;
    emitter.emit('change', null);
  }

  function start(): void {
    void retrying(connect, closing.signal, (error) =>
      log.warn('cannot listen for changes', { error: (error as Error).message }),
    );
  }

  start();
  return {
    subscribe(listener) {
      emitter.on('change', listener);
      return () => void emitter.off('change', listener);
    },
    async close() {
      closing.abort();
      await client?.end();
    },
  };
}
