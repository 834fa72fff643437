import type { Env, Self } from './service.ts';

export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;
export type Log = (message: string, fields?: Fields) => void;

/** One line per event on stdout: readable by default, JSON with LOG_FORMAT=json, nothing with LOG_FORMAT=none. */
export function createLog(env: Env, self: Self): Log {
  if (env.LOG_FORMAT === 'none') return () => {};
  if (env.LOG_FORMAT === 'json') {
    return (message, fields) =>
      console.log(JSON.stringify({ time: new Date().toISOString(), ...self, message, ...fields }));
  }
  return (message, fields = {}) => {
    const pairs = Object.entries(fields).filter(([, value]) => value !== undefined && value !== '');
    console.log([message, ...pairs.map(([name, value]) => `${name}=${quoted(value)}`)].join(' '));
  };
}

function quoted(value: unknown): string {
  const text = String(value);
  return /[\s"=]/.test(text) ? JSON.stringify(text) : text;
}
