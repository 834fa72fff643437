const MAX_SHOWN = 60;

/** A value as a message quotes it: short, on one line, and never throwing. */
export function show(value: unknown): string {
  switch (typeof value) {
    case 'undefined':
      return 'nothing';
    case 'string':
      return quote(value);
    case 'number':
    case 'boolean':
      return String(value);
    case 'bigint':
      return `${value}n`;
    case 'symbol':
      return 'a symbol';
    case 'function':
      return value.name === '' ? 'a function' : `the function ${value.name}`;
  }
  if (value === null) return 'null';
  if (isPromise(value)) return 'a Promise';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  const keys = Object.keys(value as object);
  if (keys.length === 0) return 'an empty object';
  return `an object with ${JSON.stringify(shorten(keys.join(', '))).slice(1, -1)}`;
}

/** Anything that can be awaited, whatever realm or library it comes from. */
export function isPromise(value: unknown): boolean {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/** Text in quotes, shortened, control characters escaped. */
export const quote = (text: string): string => JSON.stringify(shorten(text));

const shorten = (text: string): string => (text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN - 3)}...` : text);
