import type { LogLine } from '../../model/status.ts';

export type LogStream = LogLine['stream'];

/** Longer lines are cut into several. UTF-16 units, so up to three times as many bytes. */
export const MAX_LINE_LENGTH = 64 * 1024;

const LETTERS: Record<LogStream, string> = { stdout: 'o', stderr: 'e', mesh: 'm' };
const STREAMS: Record<string, LogStream> = { o: 'stdout', e: 'stderr', m: 'mesh' };
/** `2026-01-15T12:00:00.000Z o ` */
const PREFIX_LENGTH = 27;

/** Lines as they stand in `.mesh/logs`: time, letter of the stream, text; ends with a line feed. */
export function formatLines(timeMs: number, stream: LogStream, texts: readonly string[]): string {
  if (texts.length === 0) return '';
  const prefix = `${new Date(timeMs).toISOString()} ${LETTERS[stream]} `;
  return `${prefix}${texts.join(`\n${prefix}`)}\n`;
}

/** Null for what is not such a line, as after a full disk. */
export function parseLine(line: string, service: string, instance: string): LogLine | null {
  const stream = STREAMS[line[25]];
  if (stream === undefined || line[23] !== 'Z' || line[10] !== 'T') return null;
  return { time: line.slice(0, 24), service, instance, stream, text: line.slice(PREFIX_LENGTH) };
}

/** Cuts what a process writes into lines that any terminal can show. State: the last, unfinished line. */
export class LineSplitter {
  private rest: Buffer = Buffer.alloc(0);

  get hasRest(): boolean {
    return this.rest.length > 0;
  }

  push(chunk: Buffer): string[] {
    const end = chunk.lastIndexOf(10);
    if (end < 0) {
      this.rest = Buffer.concat([this.rest, chunk]);
      return this.rest.length < MAX_LINE_LENGTH ? [] : this.cutRest();
    }
    const whole = chunk.subarray(0, end);
    const text = (this.rest.length === 0 ? whole : Buffer.concat([this.rest, whole])).toString('utf8');
    this.rest = Buffer.from(chunk.subarray(end + 1));
    return toLines(text);
  }

  /** The unfinished line: at the end, or when nothing has come for a while (a prompt). */
  flush(): string[] {
    if (this.rest.length === 0) return [];
    const text = this.rest.toString('utf8');
    this.rest = Buffer.alloc(0);
    return toLines(text);
  }

  private cutRest(): string[] {
    let end = this.rest.length;
    // Not in the middle of a character: back to before its first byte (RFC 3629, section 3), at most 3 bytes.
    for (let back = 1; back <= 3 && back < end; back++) {
      const byte = this.rest[end - back];
      if ((byte & 0xc0) === 0x80) continue;
      const width = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
      if (width > back) end -= back;
      break;
    }
    const text = this.rest.toString('utf8', 0, end);
    this.rest = Buffer.from(this.rest.subarray(end));
    return toLines(text);
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/;
const CONTROLS =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  /\x1b\[[0-9;:]*m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

function toLines(text: string): string[] {
  let lines = text.split('\n');
  if (CONTROL.test(text)) lines = lines.map(printable);
  if (text.length > MAX_LINE_LENGTH && lines.some((line) => line.length > MAX_LINE_LENGTH)) lines = lines.flatMap(cut);
  return lines;
}

/**
 * Colours stay; what moves the cursor, rings or retitles the terminal goes; other control characters show as `\x00`.
 * Of a line that overwrote itself (progress bars) what was seen last stays.
 */
function printable(line: string): string {
  const ended = line.endsWith('\r') ? line.slice(0, -1) : line;
  const seen = ended.slice(ended.lastIndexOf('\r') + 1);
  return seen.replace(CONTROLS, (found) => {
    if (found.length === 1) return `\\x${found.charCodeAt(0).toString(16).padStart(2, '0')}`;
    return found.startsWith('\x1b[') && found.endsWith('m') && !/[<-?]/.test(found) ? found : '';
  });
}

function cut(line: string): string[] {
  const pieces: string[] = [];
  for (let start = 0; start < line.length || start === 0; ) {
    let end = Math.min(start + MAX_LINE_LENGTH, line.length);
    const last = line.charCodeAt(end - 1);
    if (end < line.length && last >= 0xd800 && last <= 0xdbff) end--;
    pieces.push(line.slice(start, end));
    start = end;
  }
  return pieces;
}
