import { parseEnv } from 'node:util';

/** Languages in which `mesh inject --env` can say an environment. */
export const ENVIRONMENT_FORMS = ['sh', 'fish', 'json', 'dotenv'] as const;
export type EnvironmentForm = (typeof ENVIRONMENT_FORMS)[number];

/**
 * An environment for a shell to evaluate, or for a program to read. Values are taken literally whatever they contain;
 * what a language cannot say is left out, with a comment in its place where there are comments.
 */
export function environmentText(environment: Readonly<Record<string, string>>, form: EnvironmentForm): string {
  const variables = Object.entries(environment).sort(([a], [b]) => (a < b ? -1 : 1));
  if (form === 'json') return `${JSON.stringify(Object.fromEntries(variables), null, 2)}\n`;
  const say = { sh: shLine, fish: fishLine, dotenv: dotenvLine }[form];
  return variables
    .map(([name, value]) => (isName(name) ? say(name, value) : null) ?? `# ${printable(name)} cannot be said here`)
    .map((line) => `${line}\n`)
    .join('');
}

/** What POSIX calls a name (XBD 3.216); shells take nothing else, though an environment may have it. */
function isName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name);
}

/** sh, bash, zsh, ksh: nothing is special between single quotes but their end. */
function shLine(name: string, value: string): string {
  return `export ${name}='${value.replaceAll("'", "'\\''")}'`;
}

/** fish knows two escapes between single quotes. */
function fishLine(name: string, value: string): string {
  return `set -gx ${name} '${value.replaceAll(/[\\']/g, '\\$&')}'`;
}

/** The quotes that bring the value back as it is; readers differ in escapes, so none is used. */
function dotenvLine(name: string, value: string): string | null {
  const quotes = /^[\w@%+:,./-]+$/.test(value) ? ['', "'", '"'] : ["'", '`', '"'];
  for (const quote of quotes) {
    const line = `${name}=${quote}${value}${quote}`;
    if (parseEnv(line)[name] === value) return line;
  }
  return null;
}

function printable(name: string): string {
  return JSON.stringify(name).slice(1, -1);
}
