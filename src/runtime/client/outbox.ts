import type { Client } from 'pg';
import { problem } from '../../model/errors.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import type { ControlClient } from '../control/client.ts';
import { databaseProblem, withClient } from '../resources/postgres-client.ts';
import { databaseUrl, listDatabases } from './database.ts';
import type { Style } from './style.ts';
import { formatMs, table } from './text.ts';

const CONNECT_MS = 5_000;
/** Over which the rate is taken. */
const RATE_SECONDS = 10;
/** A relay says so often that it is alive, and a few more. */
const RELAY_SILENT_MS = 10_000;

/** What a relay of `mesh new outbox` left word of. */
export interface RelaySummary {
  name: string;
  mode: string;
  /** Host and process. */
  holder: string;
  active: boolean;
}

/** An outbox and how far its events are. Null: the table has no column that would tell. */
export interface OutboxSummary {
  database: string;
  schema: string;
  /** Events not published. */
  waiting: number | null;
  /** Since the oldest of them was written. */
  oldestMs: number | null;
  /** Log that the server keeps for the relay; null: nobody follows it. */
  lagBytes: number | null;
  publishedPerSecond: number | null;
  deadLetters: number | null;
  relays: RelaySummary[];
}

export interface OutboxReport {
  outboxes: OutboxSummary[];
  /** Databases that could not be asked. */
  problems: Problem[];
}

/** Outboxes of the databases of a mesh, or of one. MESH-D117 and, for one, MESH-D108, D109, O101, O102. */
export async function listOutboxes(client: ControlClient, name?: string): Promise<Result<OutboxReport>> {
  const databases = await listDatabases(client);
  const names = databases.map((database) => database.name);
  if (name !== undefined && !names.includes(name)) {
    // The words of the daemon, which knows what else it could be.
    const access = await databaseUrl(client, name, { direct: true });
    if (!access.ok) return access;
  }
  const asked = await Promise.all((name === undefined ? names : [name]).map((each) => lookAt(client, each)));
  const problems = asked.flatMap((each) => (each.ok ? [] : each.problems));
  const outboxes = asked.flatMap((each) => (each.ok ? each.value : []));
  if (name !== undefined && problems.length > 0) return fail(...problems);
  if (name !== undefined && outboxes.length === 0) {
    const hint = `add one with \`mesh new outbox NAME\`; \`mesh db psql ${name} -c '...'\` shows what is there`;
    return fail(problem('MESH-O101', { message: `${name} has no table outbox`, hint }));
  }
  return ok({ outboxes, problems });
}

async function lookAt(client: ControlClient, name: string): Promise<Result<OutboxSummary[]>> {
  const access = await databaseUrl(client, name, { direct: true });
  if (!access.ok) return access;
  try {
    return ok(await withClient(access.value.url, CONNECT_MS, (connection) => readOutboxes(connection, name)));
  } catch (error) {
    const found = databaseProblem(name, error);
    return fail(found.code === 'MESH-D118' ? problem('MESH-O102', { message: found.message }) : found);
  }
}

interface Found {
  schema: string;
  marks: boolean;
  relays: boolean;
  dead: boolean;
}

/** Also of tables that others made for Debezium, which have five columns. */
export async function readOutboxes(client: Client, database: string): Promise<OutboxSummary[]> {
  const { rows } = await client.query<Found>(
    `SELECT n.nspname AS schema,
       count(*) FILTER (WHERE a.attname IN ('published_at', 'created_at')) = 2 AS marks,
       to_regclass(format('%I.outbox_relays', n.nspname)) IS NOT NULL AS relays,
       to_regclass(format('%I.outbox_dead_letters', n.nspname)) IS NOT NULL AS dead
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.relname = 'outbox' AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
     GROUP BY n.nspname
     HAVING count(*) FILTER (WHERE a.attname IN ('id', 'aggregatetype', 'aggregateid', 'type', 'payload')) = 5
     ORDER BY n.nspname`,
  );
  const summaries: OutboxSummary[] = [];
  for (const found of rows) summaries.push(await readOutbox(client, database, found));
  return summaries;
}

async function readOutbox(client: Client, database: string, found: Found): Promise<OutboxSummary> {
  const schema = client.escapeIdentifier(found.schema);
  const one = async <Row extends object>(sql: string, values: unknown[] = []): Promise<Row> =>
    (await client.query<Row>(sql, values)).rows[0];
  const events = found.marks
    ? await one<{ waiting: string; oldest: number | null; recent: string }>(
        `SELECT (SELECT count(*) FROM ${schema}.outbox WHERE published_at IS NULL) AS waiting,
           (SELECT extract(epoch FROM clock_timestamp() - min(created_at))::float8 * 1000
              FROM ${schema}.outbox WHERE published_at IS NULL) AS oldest,
           (SELECT count(*) FROM ${schema}.outbox
              WHERE published_at > clock_timestamp() - $1 * interval '1 second') AS recent`,
        [RATE_SECONDS],
      )
    : null;
  const dead = found.dead ? await one<{ count: string }>(`SELECT count(*) FROM ${schema}.outbox_dead_letters`) : null;
  const relays = found.relays
    ? (
        await client.query<RelaySummary>(
          `SELECT name, mode, holder, seen_at > clock_timestamp() - $1 * interval '1 millisecond' AS active
           FROM ${schema}.outbox_relays ORDER BY name`,
          [RELAY_SILENT_MS],
        )
      ).rows
    : [];
  // Without word of a relay any slot that decodes may be Debezium's.
  const { lag } = await one<{ lag: string | null }>(
    `SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn))::text AS lag FROM pg_replication_slots
     WHERE slot_type = 'logical' AND database = current_database() AND ($1::text[] = '{}' OR slot_name = ANY ($1))`,
    [relays.map((relay) => relay.name)],
  );
  return {
    database,
    schema: found.schema,
    waiting: events === null ? null : Number(events.waiting),
    oldestMs: events === null || events.oldest === null ? null : Math.max(0, Math.round(events.oldest)),
    lagBytes: lag === null ? null : Math.max(0, Number(lag)),
    publishedPerSecond: events === null ? null : Number(events.recent) / RATE_SECONDS,
    deadLetters: dead === null ? null : Number(dead.count),
    relays,
  };
}

export function renderOutboxes({ outboxes, problems }: OutboxReport, style: Style, columns: number | null): string[] {
  const failed = problems.map(({ code, message }) => style.yellow(`${code}: ${message}`));
  if (outboxes.length === 0) return [...failed, 'no outbox; make one: mesh new outbox orders'];
  const lines = table(
    outboxes,
    [
      {
        title: 'OUTBOX',
        value: ({ database, schema }) => (schema === 'public' ? database : `${database}/${schema}`),
        shrinkTo: 10,
      },
      { title: 'RELAY', value: ({ relays }) => relays.map(relayText).join(', ') || '-', shrinkTo: 12 },
      { title: 'WAITING', value: ({ waiting }) => known(waiting, String), align: 'right' },
      { title: 'OLDEST', value: ({ oldestMs }) => known(oldestMs, formatMs), align: 'right' },
      { title: 'LAG', value: ({ lagBytes }) => known(lagBytes, shortBytes), align: 'right' },
      { title: 'PUBLISHED/S', value: ({ publishedPerSecond }) => known(publishedPerSecond, rate), align: 'right' },
      {
        title: 'DEAD',
        value: ({ deadLetters }) => known(deadLetters, String),
        align: 'right',
        paint: (text, { deadLetters }) => ((deadLetters ?? 0) > 0 ? style.red(text) : text),
      },
    ],
    { columns, title: style.bold },
  );
  return [...lines, ...failed];
}

const relayText = ({ mode, active }: RelaySummary): string => (active ? mode : `${mode} (gone)`);
const known = (value: number | null, text: (value: number) => string): string => (value === null ? '-' : text(value));
const rate = (perSecond: number): string => perSecond.toFixed(perSecond < 10 ? 1 : 0);

/** `512 B`, `16 KB`, `1.2 MB`: powers of 1,000, as a lag needs no more. */
function shortBytes(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  for (const [unit, size] of [
    ['KB', 1e3],
    ['MB', 1e6],
  ] as const)
    if (bytes < size * 1_000) return `${(bytes / size).toFixed(bytes < size * 10 ? 1 : 0)} ${unit}`;
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
