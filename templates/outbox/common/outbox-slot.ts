import type pg from 'pg';

export interface PreparedSlot {
  /** Whether all that was committed before the slot existed is published. */
  readonly caughtUp: boolean;
  /** `16/B374D848` */
  readonly confirmedLsn: string;
}

interface SlotRow {
  database: string;
  here: boolean;
  lost: boolean;
  confirmed: string;
}

/**
 * Makes the publication and the slot where they are missing, or of no use: a slot that the server gave up because nobody
 * read it (`max_slot_wal_keep_size`), a publication whose table was dropped. The table still has what they would have told.
 */
export async function prepareSlot(client: pg.Client, name: string): Promise<PreparedSlot> {
  const { rows: settings } = await client.query<{ wal_level: string }>('SHOW wal_level');
  if (settings[0].wal_level !== 'logical')
    throw new Error(
      `wal_level of the server is ${settings[0].wal_level}: set it to logical and restart it, or relay by polling`,
    );
  let slot = await findSlot(client, name);
  if (slot !== undefined && !slot.here)
    throw new Error(`the replication slot ${name} belongs to the database ${slot.database}: choose another name`);
  const publishes = await hasPublication(client, name);
  if (slot === undefined || slot.lost || !publishes.table) {
    // First of all: whoever dies in between has the next one do the same again.
    await client.query('UPDATE outbox_relays SET caught_up = false WHERE name = $1', [name]);
    if (!publishes.table) {
      const id = client.escapeIdentifier(name);
      // Inserts alone: that a row is published, or deleted later, is news to nobody.
      await client.query(
        publishes.exists
          ? `ALTER PUBLICATION ${id} SET TABLE outbox`
          : `CREATE PUBLICATION ${id} FOR TABLE outbox WITH (publish = 'insert')`,
      );
    }
    // A slot knows of a publication from the place where both existed.
    if (slot !== undefined) await client.query('SELECT pg_drop_replication_slot($1)', [name]);
    await client.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [name]);
    slot = (await findSlot(client, name))!;
  }
  const { rows } = await client.query<{ caught_up: boolean }>('SELECT caught_up FROM outbox_relays WHERE name = $1', [
    name,
  ]);
  return { caughtUp: rows[0]?.caught_up ?? false, confirmedLsn: slot.confirmed };
}

async function findSlot(client: pg.Client, name: string): Promise<SlotRow | undefined> {
  const { rows } = await client.query<SlotRow>(
    `SELECT database, database = current_database() AS here, coalesce(wal_status = 'lost', false) AS lost,
       coalesce(confirmed_flush_lsn, '0/0')::text AS confirmed
     FROM pg_replication_slots WHERE slot_name = $1`,
    [name],
  );
  return rows[0];
}

async function hasPublication(client: pg.Client, name: string): Promise<{ exists: boolean; table: boolean }> {
  const { rows } = await client.query<{ table: boolean }>(
    `SELECT EXISTS (SELECT 1 FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = 'outbox'::regclass) AS table
     FROM pg_publication p WHERE p.pubname = $1`,
    [name],
  );
  return { exists: rows.length > 0, table: rows[0]?.table ?? false };
}
