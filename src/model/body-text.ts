import type { BodyMessage, EventBody } from './bodies.ts';

/** Bytes shown of what is no text; more says nothing to people. */
const MOST_HEX_BYTES = 256;
const HEX_COLUMNS = 16;
/** Deeper JSON is not indented further, so that hostile input does not become a hundred times as long. */
const MOST_INDENT = 20;

/** `application/json, 120 bytes, gzip, cut` */
export function bodySummary({ contentType, bytes, encoding, truncated }: EventBody): string {
  return [
    contentType === '' ? 'no content-type' : contentType,
    `${bytes} ${bytes === 1 ? 'byte' : 'bytes'}`,
    encoding,
    truncated ? 'truncated' : '',
  ]
    .filter((text) => text !== '')
    .join(', ');
}

/** The body for people, line by line: JSON indented, bytes as hex. Not free of control characters: that is up to the caller. */
export function bodyLines(body: EventBody): string[] {
  const lines: string[] = [];
  if (body.text !== undefined) lines.push(...textLines(body.text, body.contentType));
  if (body.base64 !== undefined) lines.push(...hexLines(body.base64));
  body.messages?.forEach((message, index) => {
    lines.push(...messageLines(message, index));
  });
  if (body.note !== '') lines.push(`(${body.note})`);
  return lines;
}

function messageLines({ type, bytes, truncated, json }: BodyMessage, index: number): string[] {
  const head = `#${index + 1} ${type === '' ? 'message' : type}, ${bytes} bytes${truncated ? ', truncated' : ''}`;
  return json === undefined ? [head] : [head, ...JSON.stringify(json, null, 2).split('\n')];
}

function textLines(text: string, contentType: string): string[] {
  const json = /[/+]json\b/i.test(contentType) || /^\s*[{[]/.test(text);
  return (json ? indentJson(text) : text).replace(/\r?\n$/, '').split(/\r?\n/);
}

/**
 * JSON with a line for each member. Token by token, so that numbers and repeated keys stay as they were sent and what is
 * cut off or no JSON at all still comes out whole.
 */
export function indentJson(text: string): string {
  let out = '';
  let depth = 0;
  const newLine = (): string => `\n${'  '.repeat(Math.min(depth, MOST_INDENT))}`;
  const token = /"(?:[^"\\]|\\.)*"?|[{}[\],:]|[^\s"{}[\],:]+|\s+/gs;
  let opened = false;
  for (const [part] of text.matchAll(token)) {
    if (/^\s/.test(part)) continue;
    if (part === '}' || part === ']') {
      depth = Math.max(0, depth - 1);
      out += opened ? part : newLine() + part;
      opened = false;
      continue;
    }
    if (opened) out += newLine();
    opened = false;
    if (part === ',') out += `,${newLine()}`;
    else if (part === ':') out += ': ';
    else {
      // Values that follow one another: a stream of documents.
      if (depth === 0 && out !== '' && !out.endsWith('\n')) out += '\n';
      out += part;
    }
    if (part === '{' || part === '[') {
      depth++;
      opened = true;
    }
  }
  return out;
}

function hexLines(base64: string): string[] {
  const bytes = fromBase64(base64);
  const lines: string[] = [];
  for (let at = 0; at < Math.min(bytes.length, MOST_HEX_BYTES); at += HEX_COLUMNS) {
    const row = bytes.slice(at, at + HEX_COLUMNS);
    const hex = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString(16).padStart(4, '0')}  ${hex.padEnd(HEX_COLUMNS * 3 - 1)}  ${text}`);
  }
  if (bytes.length > MOST_HEX_BYTES) lines.push(`... ${bytes.length - MOST_HEX_BYTES} more bytes were captured`);
  return lines;
}

const fromBase64 = (text: string): number[] => Array.from(atob(text), (character) => character.charCodeAt(0));
