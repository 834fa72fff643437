import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline/promises';
import type { FieldDef } from 'pg';
import { problem } from '../../model/errors.ts';
import { parseResourceUrl, shownUrl } from '../../model/resource-url.ts';
import { fail, ok, type Result } from '../../model/result.ts';
import type { ControlClient } from '../control/client.ts';
import { databaseProblem, withClient } from '../resources/postgres-client.ts';
import { paintState, type Style } from './style.ts';
import { table } from './text.ts';

const CONNECT_MS = 10_000;

export interface UrlChoice {
  /** Through the proxies of this service. */
  as?: string;
  /** Without proxies. */
  direct?: boolean;
}

/** Where a database is. `through` is the service whose connection it is, empty without proxies. MESH-D117. */
export async function databaseUrl(
  client: ControlClient,
  name: string,
  { as, direct = false }: UrlChoice,
): Promise<Result<{ url: string; through: string }>> {
  const access = await client.databases.access(name, as ?? null);
  if (!access.ok) return access;
  const { url, directUrl } = access.value;
  return ok(direct || url === null ? { url: directUrl, through: '' } : { url, through: access.value.as });
}

/** A database as `mesh db` lists it. */
export interface DatabaseSummary {
  name: string;
  state: string;
  /** Without proxies and password. */
  url: string;
}

export async function listDatabases(client: ControlClient): Promise<DatabaseSummary[]> {
  const { services } = await client.status();
  const found = await Promise.all(
    services
      .filter(({ protocol }) => protocol === 'tcp')
      .map(async ({ name, instances }) => ({
        name,
        state: instances[0]?.state ?? '',
        access: await client.databases.access(name, null),
      })),
  );
  return found.flatMap(({ name, state, access }) =>
    access.ok ? [{ name, state, url: shownUrl(access.value.directUrl) }] : [],
  );
}

export function renderDatabases(databases: readonly DatabaseSummary[], style: Style, columns: number | null): string[] {
  if (databases.length === 0) return ['no databases; add one: resources: { ordersdb: postgres() }'];
  return table(
    databases,
    [
      { title: 'NAME', value: ({ name }) => name },
      { title: 'STATE', value: ({ state }) => state, paint: (text, { state }) => paintState(style, state, text) },
      { title: 'URL', value: ({ url }) => url, shrinkTo: 20 },
    ],
    { columns, title: style.bold },
  );
}

/** What one statement gave. Values are as PostgreSQL writes them. */
export interface StatementResult {
  /** `SELECT`, `INSERT`, ... */
  command: string;
  /** Null: it gives no rows. */
  columns: string[] | null;
  rows: (string | null)[][];
  rowCount: number;
}

/** Runs statements, several with `;` between them in one transaction. MESH-D108, D109, D118. */
export async function runStatements(name: string, url: string, sql: string): Promise<Result<StatementResult[]>> {
  try {
    const results = await withClient(url, CONNECT_MS, (client) =>
      // Numbers, times and JSON stay text: as the server writes them, with nothing lost.
      client.query({ text: sql, rowMode: 'array', types: { getTypeParser: () => (text: unknown) => text } as never }),
    );
    const list = (Array.isArray(results) ? results : [results]) as {
      command: string | null;
      fields: FieldDef[];
      rows: (string | null)[][];
      rowCount: number | null;
    }[];
    return ok(
      list.map(({ command, fields, rows, rowCount }) => ({
        command: command ?? '',
        columns: fields.length === 0 ? null : fields.map((field) => field.name),
        rows,
        rowCount: rowCount ?? 0,
      })),
    );
  } catch (error) {
    return fail(databaseProblem(name, error));
  }
}

/** A table for rows, a line for the rest. */
export function renderStatement(result: StatementResult, style: Style, columns: number | null): string[] {
  const { command, columns: names, rows, rowCount } = result;
  if (names === null) return [rowCount === 0 ? command : `${command} ${rowCount}`];
  const lines = table(
    rows,
    names.map((title, i) => ({
      title,
      value: (row: (string | null)[]) => (row[i] ?? 'NULL').replaceAll(/\p{Cc}/gu, ' '),
      shrinkTo: 8,
    })),
    { columns, title: style.bold },
  );
  return [...lines, style.dim(rows.length === 1 ? '1 row' : `${rows.length} rows`)];
}

/** By name of the column; of a name that comes twice the last one stays, as in `row_to_json`. */
export const statementDocument = ({ command, columns, rows, rowCount }: StatementResult): object =>
  columns === null
    ? { command, rowCount }
    : { command, rowCount, rows: rows.map((row) => Object.fromEntries(row.map((value, i) => [columns[i], value]))) };

/** The user's psql in this terminal; the value is its exit code. MESH-D116: there is none. */
export function openPsql(name: string, url: string, args: readonly string[]): Promise<Result<number>> {
  const address = parseResourceUrl('postgres', url);
  if ('wrong' in address) throw new Error(`a URL that was not validated: ${name}`);
  const sslmode = new URL(url).searchParams.get('sslmode');
  return new Promise((resolve) => {
    // By environment: arguments can be read by every user of the machine.
    const child = spawn('psql', [...args], {
      stdio: 'inherit',
      env: {
        ...process.env,
        PGHOST: address.host,
        PGPORT: String(address.port),
        PGUSER: address.user,
        PGPASSWORD: address.password,
        PGDATABASE: address.path,
        ...(sslmode === null ? {} : { PGSSLMODE: sslmode }),
      },
    });
    // Ctrl-C is for psql, which cancels a query by it.
    const ignore = (): void => {};
    process.on('SIGINT', ignore);
    child.once('error', () => {
      process.off('SIGINT', ignore);
      resolve(
        fail(
          problem('MESH-D116', {
            message: 'there is no psql on the PATH',
            hint: `without it: \`mesh db psql ${name} -c 'SELECT 1'\`; or install postgresql-client (Debian), libpq (Homebrew)`,
          }),
        ),
      );
    });
    child.once('exit', (code) => {
      process.off('SIGINT', ignore);
      resolve(ok(code ?? 1));
    });
  });
}

/** Asks in a terminal; elsewhere only `--yes` will do. MESH-D119. */
export async function confirmReset(name: string, shownUrl: string, yes: boolean): Promise<Result<void>> {
  if (yes) return ok(undefined);
  const refused = problem('MESH-D119', {
    message: `all data of ${name} would be deleted`,
    hint: `\`mesh db reset ${name} --yes\` does it without asking`,
  });
  if (!process.stdin.isTTY || !process.stderr.isTTY || process.env.CI === '1') return fail(refused);
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await prompt.question(`This deletes all data of ${name} (${shownUrl}). Its name, to go on: `);
    return answer.trim() === name ? ok(undefined) : fail({ ...refused, message: 'not confirmed: nothing was deleted' });
  } finally {
    prompt.close();
  }
}
