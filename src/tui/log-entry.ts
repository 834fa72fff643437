import type { LogLine } from '../model/status.ts';
import { visible, withoutEscapes } from '../model/text.ts';
import { clockTime } from './layout/format.ts';

export const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type Level = (typeof LEVELS)[number];

/** One line of the merged log: what services wrote and what mesh has to say. */
export interface LogEntry {
  key: number;
  kind: 'log' | 'notice';
  level: Level;
  /** Empty: the mesh. */
  service: string;
  /** Instance of a log line; place or service of a notice. */
  source: string;
  /** RFC 3339; empty where unknown. */
  time: string;
  /** One line. JSON is put in words. */
  text: string;
  /** JSON as the service wrote it; null: plain text. */
  json: string | null;
}

const JSON_LIMIT = 16_384;

export function logEntry(line: LogLine, key: number): LogEntry {
  const record = parseRecord(line.text);
  const fallback: Level = line.stream === 'stderr' ? 'warn' : 'info';
  const common = { key, kind: 'log' as const, service: line.service, source: line.instance, time: line.time };
  if (record === null) {
    const text = withoutEscapes(line.text);
    return { ...common, level: levelInText(text) ?? fallback, text, json: null };
  }
  return { ...common, level: levelOf(record) ?? fallback, text: sentence(record), json: line.text.trim() };
}

type LogRecord = Record<string, unknown>;

/** Null: not a JSON object. */
function parseRecord(text: string): LogRecord | null {
  const trimmed = text.trim();
  if (!trimmed.startsWith('{') || !trimmed.endsWith('}') || trimmed.length > JSON_LIMIT) return null;
  try {
    return JSON.parse(trimmed) as LogRecord;
  } catch {
    return null;
  }
}

const LEVEL_NAMES: Record<string, Level> = {
  trace: 'debug',
  debug: 'debug',
  verbose: 'debug',
  info: 'info',
  information: 'info',
  notice: 'info',
  warn: 'warn',
  warning: 'warn',
  error: 'error',
  err: 'error',
  fatal: 'error',
  critical: 'error',
  panic: 'error',
};

/** Names that the common loggers use: pino and bunyan (numbers), winston, zap, slog, logback, Serilog, ECS. */
const LEVEL_KEYS = ['level', 'severity', 'lvl', 'log.level', '@l', 'levelname'];
const MESSAGE_KEYS = ['msg', 'message', 'event', '@m', '@mt', 'text'];
const TIME_KEYS = ['time', 'timestamp', 'ts', '@timestamp', '@t'];
/** Always the same on one machine. */
const NOISE_KEYS = ['pid', 'hostname', 'v'];

function levelOf(record: LogRecord): Level | null {
  for (const key of LEVEL_KEYS) {
    const value = record[key];
    if (typeof value === 'string') {
      const level = LEVEL_NAMES[value.toLowerCase()];
      if (level !== undefined) return level;
    }
    if (typeof value === 'number') {
      if (value >= 50) return 'error';
      if (value >= 40) return 'warn';
      return value >= 30 ? 'info' : 'debug';
    }
  }
  return null;
}

const LEVEL_WORD = /\b(trace|debug|verbose|info|notice|warn|warning|error|fatal|critical|panic)\b/i;

/** Where loggers put it: near the start, apart from words of a sentence by capitals, brackets or a colon. */
function levelInText(text: string): Level | null {
  const head = text.slice(0, 60);
  const found = LEVEL_WORD.exec(head);
  if (found === null) return /^\s*(?:[A-Z]\w*)?(?:Error|Exception)\b/.test(head) ? 'error' : null;
  const [word] = found;
  const around = `${head[found.index - 1] ?? ''}${head[found.index + word.length] ?? ''}`;
  const stands = word === word.toUpperCase() || /[[\](){}:|=<>]/.test(around) || found.index === 0;
  return stands ? LEVEL_NAMES[word.toLowerCase()] : null;
}

/** `message  key=value ...` */
function sentence(record: LogRecord): string {
  const messageKey = MESSAGE_KEYS.find((key) => typeof record[key] === 'string');
  const skipped = new Set([...LEVEL_KEYS, ...TIME_KEYS, ...NOISE_KEYS, messageKey]);
  const rest = Object.entries(record)
    .filter(([key]) => !skipped.has(key))
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const message = messageKey === undefined ? [] : [String(record[messageKey])];
  return withoutEscapes([...message, rest.join(' ')].filter((part) => part !== '').join('  '));
}

/** The lines of a detail page: JSON over several lines, text as it is. */
export function prettyText(entry: LogEntry): string[] {
  if (entry.json === null) return [entry.text];
  return JSON.stringify(JSON.parse(entry.json), null, 2)
    .split('\n')
    .map((text) => visible(text));
}

export const timeOf = (entry: LogEntry): string => (entry.time === '' ? '' : clockTime(entry.time));
