import { SourceMap } from 'node:module';
import path from 'node:path';
import { problem } from '../../model/errors.ts';
import type { Problem } from '../../model/result.ts';

/** Where in the user's files something of the bundle stands. */
interface SourcePlace {
  file: string;
  line: number;
  column: number;
}

/** What a configuration threw, at the place in the user's files where it did. */
export function problemOfThrown(thrown: unknown, file: string, map: string): Problem {
  const place = placeOfThrown(thrown, file, map);
  const code = (thrown as { code?: unknown } | null)?.code;
  const notFound = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
  const found = notFound
    ? problem('MESH-C010', { message: firstLine(thrown), hint: 'check the spelling, or run `npm install`' })
    : problem('MESH-C003', { message: `it threw ${firstLine(thrown)}`, hint: causeOf(thrown) });
  return { ...found, ...(place ?? { file }) };
}

function firstLine(thrown: unknown): string {
  if (!(thrown instanceof Error)) return typeof thrown === 'string' ? JSON.stringify(thrown) : describe(thrown);
  const [line] = String(thrown.message).split('\n');
  return line === '' ? thrown.name : `${thrown.name}: ${line}`;
}

function describe(thrown: unknown): string {
  const message = (thrown as { message?: unknown } | null)?.message;
  return typeof message === 'string' ? message.split('\n')[0] : `a value of type ${typeof thrown}`;
}

function causeOf(thrown: unknown): string | undefined {
  const { cause, errors } = (thrown ?? {}) as { cause?: unknown; errors?: unknown };
  if (cause instanceof Error) return `because of ${firstLine(cause)}`;
  if (Array.isArray(errors) && errors.length > 0) return errors.slice(0, 3).map(firstLine).join('; ');
  return undefined;
}

/** The innermost frame of the stack that is in a file of the user's. */
function placeOfThrown(thrown: unknown, file: string, map: string): SourcePlace | null {
  const stack = (thrown as { stack?: unknown } | null)?.stack;
  if (typeof stack !== 'string') return null;
  const marker = `${file}:`;
  let sourceMap: SourceMap | null = null;
  for (const frame of stack.split('\n')) {
    const at = frame.lastIndexOf(marker);
    const position = at === -1 ? null : /^(\d+):(\d+)/.exec(frame.slice(at + marker.length));
    if (position === null) continue;
    sourceMap ??= new SourceMap(JSON.parse(map));
    const place = originalPlace(sourceMap, Number(position[1]), Number(position[2]), path.dirname(file));
    if (place !== null) return place;
  }
  return null;
}

function originalPlace(map: SourceMap, line: number, column: number, directory: string): SourcePlace | null {
  const entry = map.findEntry(line - 1, column - 1);
  // `mesh-place:...` and the like are sources, too, but no files.
  if (!('originalSource' in entry) || typeof entry.originalSource !== 'string') return null;
  if (/^[a-z-]{2,}:/.test(entry.originalSource)) return null;
  return {
    file: path.resolve(directory, entry.originalSource),
    line: entry.originalLine + 1,
    column: entry.originalColumn + 1,
  };
}
