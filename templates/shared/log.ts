import { currentTrace } from './trace-context.ts';

export type Fields = Readonly<Record<string, unknown>>;

export interface Log {
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

/** One JSON object a line on stdout, with the trace it belongs to. LOG_LEVEL: info (default), warn, error, none. */
export function createLog(service: string, env: NodeJS.ProcessEnv = process.env): Log {
  const levels = ['info', 'warn', 'error'] as const;
  const least = env.LOG_LEVEL === 'none' ? levels.length : Math.max(0, levels.indexOf(env.LOG_LEVEL as 'info'));
  const writer =
    (level: (typeof levels)[number]) =>
    (message: string, fields: Fields = {}) => {
      if (levels.indexOf(level) < least) return;
      const trace = currentTrace();
      const ids = trace === undefined ? {} : { traceId: trace.traceId, spanId: trace.spanId };
      process.stdout.write(
        `${JSON.stringify({ time: new Date().toISOString(), level, service, message, ...ids, ...plain(fields) })}\n`,
      );
    };
  return { info: writer('info'), warn: writer('warn'), error: writer('error') };
}

/** Errors have no own fields that JSON would show. */
function plain(fields: Fields): Fields {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      value instanceof Error ? (value.stack ?? value.message) : value,
    ]),
  );
}
