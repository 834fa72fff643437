/** How a file is written. */
export interface CodeStyle {
  readonly quote: "'" | '"';
  /** One level. */
  readonly indent: string;
  readonly newline: '\n' | '\r\n';
  /** Whether the last entry of several lines has a comma. */
  readonly trailingComma: boolean;
  /** Empty or `;`. */
  readonly semicolon: string;
}

/** What an object in a line of its own may take. */
const WIDTH = 100;

/** Plain data as TypeScript, its further lines at `level` (the indentation of the line it begins in). */
export function printValue(value: unknown, style: CodeStyle, level: string): string {
  const inline = printInline(value, style);
  if (typeof value !== 'object' || value === null || level.length + inline.length <= WIDTH) return inline;
  return printBlock(value, style, level);
}

/** Over several lines, however short it is. */
export function printBlock(value: object, style: CodeStyle, level: string): string {
  const inner = level + style.indent;
  const list = Array.isArray(value);
  const entries = list
    ? value.map((item) => inner + printValue(item, style, inner))
    : Object.entries(value)
        .filter(([, item]) => item !== undefined)
        .map(([key, item]) => `${inner}${printKey(key, style)}: ${printValue(item, style, inner)}`);
  const [open, close] = list ? '[]' : '{}';
  if (entries.length === 0) return open + close;
  const body = entries.join(`,${style.newline}`);
  return [open, `${body}${style.trailingComma ? ',' : ''}`, level + close].join(style.newline);
}

function printInline(value: unknown, style: CodeStyle): string {
  if (typeof value === 'string') return printText(value, style);
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map((item) => printInline(item, style)).join(', ')}]`;
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .map(([key, item]) => `${printKey(key, style)}: ${printInline(item, style)}`);
  return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
}

export function printKey(key: string, style: CodeStyle): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) && key !== '__proto__' ? key : printText(key, style);
}

function printText(text: string, { quote }: CodeStyle): string {
  // JSON's escapes are all known to JavaScript; only the quotes differ.
  const json = JSON.stringify(text);
  return quote === '"' ? json : `'${json.slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
}
