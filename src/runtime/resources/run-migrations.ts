import type { Problem, Result } from '../../model/result.ts';
import { applyMigrations, type Migration, readMigrations } from './migrations.ts';
import { databaseProblem, withClient } from './postgres-client.ts';

const CONNECT_MS = 10_000;
const RETRY_MS = 1_000;
/** A server that is away is waited for; it is said again so often. */
const REMIND_MS = 30_000;

/**
 * The task `<name>-migrations`: its arguments are the scope and the folders; the database is `MIGRATIONS_URL`. Writes what it did; the value is the exit code.
 */
export async function runMigrations(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  say: (line: string) => void = (line) => void process.stdout.write(`${line}\n`),
): Promise<number> {
  const [scope, ...folders] = args;
  const url = env.MIGRATIONS_URL ?? '';
  const migrations = await readMigrations(folders);
  if (!migrations.ok) return report(migrations.problems, say);
  const all = migrations.value;
  let remindedMs = 0;
  for (;;) {
    const outcome = await attempt(url, scope, all, say);
    if (outcome.ok) {
      const n = outcome.value.length;
      say(n === 0 ? `up to date: ${all.length} applied before` : `${n} applied, ${all.length} in all`);
      return 0;
    }
    const [first] = outcome.problems;
    if (first.code !== 'MESH-D108') return report(outcome.problems, say);
    if (Date.now() - remindedMs > REMIND_MS) {
      remindedMs = Date.now();
      say(`${first.code}: ${first.message}; waiting for it`);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

async function attempt(
  url: string,
  scope: string,
  migrations: readonly Migration[],
  say: (line: string) => void,
): Promise<Result<string[]>> {
  try {
    return await withClient(url, CONNECT_MS, (client) => {
      client.on('notice', (notice) => say(`${notice.severity}: ${notice.message}`));
      return applyMigrations(client, scope, migrations, (name, ms) => say(`applied ${name} in ${ms} ms`));
    });
  } catch (error) {
    const found = databaseProblem(scope, error);
    return { ok: false, problems: [found] };
  }
}

function report(problems: readonly Problem[], say: (line: string) => void): number {
  for (const { code, message, hint } of problems) say(`${code}: ${message}${hint === undefined ? '' : `\n  ${hint}`}`);
  return 1;
}
