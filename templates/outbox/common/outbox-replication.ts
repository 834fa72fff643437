import pg from 'pg';
import { PgoutputPlugin } from 'pg-logical-replication';

/** What comes out of the log, in order of commits. */
export type Change =
  | { readonly kind: 'begin'; readonly commitLsn: bigint; readonly xid: number }
  | { readonly kind: 'insert'; readonly row: Readonly<Record<string, string | null>> }
  /** All of a transaction came; `endLsn` is where the log goes on. */
  | { readonly kind: 'commit'; readonly endLsn: bigint };

export interface ReplicationOptions {
  readonly url: string;
  readonly slot: string;
  readonly publication: string;
  onChange(change: Change): void;
  /** The server has nothing more for us before this place, as it was when it said so. */
  onPosition(lsn: bigint): void;
}

export interface ReplicationStream {
  /** Resolves when the server has given us the slot. */
  readonly started: Promise<void>;
  /** Resolves when it is closed, rejects when it breaks, or if it cannot start: SQLSTATE 55006 while another has the slot. */
  readonly ended: Promise<void>;
  /** Tells the server that it need not keep the log before this place; also that we live. */
  confirm(lsn: bigint): void;
  /** Stops and resumes reading. */
  pause(): void;
  resume(): void;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5_000;
const X_LOG_DATA = 0x77;
const KEEPALIVE = 0x6b;
/** Milliseconds from 1970 to 2000, where PostgreSQL's time begins. */
const EPOCH_MS = 946_684_800_000n;

/**
 * Follows a slot by the streaming replication protocol (https://www.postgresql.org/docs/current/protocol-replication.html).
 * Nothing is confirmed but what `confirm` says, to the byte: a place one further, as some clients send it, is behind the
 * start of a commit record that follows at once, and the server would pass over that transaction after a restart.
 */
export async function openReplication(options: ReplicationOptions): Promise<ReplicationStream> {
  const settings = {
    connectionString: options.url,
    replication: 'database',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  };
  const client = new pg.Client(settings);
  let closed = false;
  let settle!: { resolve(): void; reject(error: Error): void };
  const ended = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  const finish = (error: Error): void => {
    if (closed) return;
    closed = true;
    settle.reject(error);
  };
  // Whoever opened it may not be waiting yet.
  ended.catch(() => {});
  client.on('error', finish);
  await client.connect();
  client.on('end', () => finish(new Error('the replication connection was closed')));

  const started = new Promise<void>((resolve) => client.connection.once('replicationStart', () => resolve()));
  const read = changeReader(options.publication);
  const connection = client.connection as pg.Connection & { sendCopyFromChunk(chunk: Buffer): void };
  const start = [
    `START_REPLICATION SLOT ${client.escapeIdentifier(options.slot)} LOGICAL 0/0`,
    `(proto_version '1', publication_names ${client.escapeLiteral(client.escapeIdentifier(options.publication))})`,
  ].join(' ');
  // The interface by which pg takes queries of other makes.
  client.query({
    submit: (to: pg.Connection & { query(text: string): void }) => to.query(start),
    handleError: finish,
    handleCopyData({ chunk }: { chunk: Buffer }) {
      if (closed) return;
      if (chunk[0] === KEEPALIVE) return options.onPosition(chunk.readBigUInt64BE(1));
      if (chunk[0] !== X_LOG_DATA) return;
      try {
        const change = read(chunk.subarray(25));
        if (change !== null) options.onChange(change);
      } catch (error) {
        finish(error as Error);
      }
    },
    handleCommandComplete() {},
    handleReadyForQuery: () => finish(new Error('the server ended the replication')),
  } as pg.Submittable);

  return {
    started,
    ended,
    confirm: (lsn) => {
      if (!closed) connection.sendCopyFromChunk(statusUpdate(lsn));
    },
    pause: () => void connection.stream.pause(),
    resume: () => void connection.stream.resume(),
    async close() {
      closed = true;
      // A slot is free when its connection is gone, and a connection that is not read from would not notice.
      connection.stream.resume();
      await client.end().catch(() => {});
      settle.resolve();
    },
  };
}

/** Values stay the text that they are in the log. */
function changeReader(publication: string): (message: Buffer) => Change | null {
  const plugin = new PgoutputPlugin({ protoVersion: 1, publicationNames: [publication] });
  return (data) => {
    const message = plugin.parse(data);
    switch (message.tag) {
      case 'relation':
        // It would parse JSON, and numbers beyond 2^53 would be others then.
        for (const column of message.columns) column.parser = (text: string) => text;
        return null;
      case 'begin':
        return { kind: 'begin', commitLsn: parseLsn(message.commitLsn), xid: message.xid >>> 0 };
      case 'insert':
        return { kind: 'insert', row: message.new };
      case 'commit':
        return { kind: 'commit', endLsn: parseLsn(message.commitEndLsn) };
      default:
        return null;
    }
  };
}

/** `16/B374D848`; null, where there is none, is the beginning. */
export function parseLsn(text: string | null): bigint {
  const [high, low] = (text ?? '0/0').split('/');
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

function statusUpdate(lsn: bigint): Buffer {
  const message = Buffer.alloc(34);
  message.write('r');
  // Received, flushed, applied.
  for (const offset of [1, 9, 17]) message.writeBigUInt64BE(lsn, offset);
  message.writeBigInt64BE((BigInt(Date.now()) - EPOCH_MS) * 1_000n, 25);
  return message;
}
