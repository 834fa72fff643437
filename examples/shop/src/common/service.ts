import { hostname } from 'node:os';

export type Env = Readonly<Record<string, string | undefined>>;

/** Who a running service is. In a mesh both names are given to it; anywhere else they are its own. */
export interface Self {
  service: string;
  instance: string;
  version?: string;
}

export interface StartOptions {
  /** 0 takes a free port. */
  port: number;
  env: Env;
}

export interface RunningService {
  url: string;
  /** Finishes what is in flight, then resolves. */
  stop(): Promise<void>;
}

export function selfFrom(env: Env, service: string): Self {
  return {
    service: env.MESH_SERVICE ?? service,
    instance: env.MESH_INSTANCE ?? `${hostname()}:${process.pid}`,
    version: env.VERSION,
  };
}

/** Address of another service, `ORDERS_URL` for orders, without a slash at its end. */
export function urlFrom(env: Env, service: string): string {
  const name = `${service.toUpperCase()}_URL`;
  const url = env[name];
  if (!url || !URL.canParse(url)) {
    throw new Error(`${name} must be the address of ${service}, like http://127.0.0.1:4000; it is ${url ?? 'not set'}`);
  }
  return url.replace(/\/$/, '');
}

/** A time in milliseconds. */
export function msFrom(env: Env, name: string, fallbackMs: number): number {
  const ms = Number(env[name] ?? fallbackMs);
  if (!Number.isFinite(ms) || ms < 0) throw new Error(`${name} must be a time in milliseconds; it is ${env[name]}`);
  return ms;
}
