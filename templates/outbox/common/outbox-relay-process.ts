import { createLog } from '../../shared/log.ts';
import { portFrom, type Running, required } from '../../shared/process.ts';
import { createBusBroker } from './outbox-bus.ts';
import { serveJson } from './outbox-http.ts';
import { startRelay } from './outbox-relay.ts';
import type { RelayMode } from './outbox-session.ts';

/** A relay and its health over HTTP, by the environment. */
export async function startRelayProcess(
  { name, mode: preset }: { readonly name: string; readonly mode: RelayMode },
  env: NodeJS.ProcessEnv,
): Promise<Running & { readonly url: string }> {
  const log = createLog(name.replaceAll('_', '-'), env);
  const mode = env.OUTBOX_RELAY ?? preset;
  if (mode !== 'wal' && mode !== 'polling')
    throw new Error(`OUTBOX_RELAY must be wal or polling; it is ${env.OUTBOX_RELAY}`);
  const databaseUrl = required(env, 'DATABASE_URL', 'postgres://127.0.0.1:5432/orders');
  const busUrl = required(env, 'BUS_URL', 'postgres://127.0.0.1:5432/orders');
  if (!/^postgres(?:ql)?:/.test(busUrl))
    throw new Error(
      `BUS_URL is of ${busUrl.split(':')[0]}: give startRelay a broker for it, like that of outbox-bus.ts`,
    );
  const relay = startRelay({
    mode,
    url: databaseUrl,
    name: env.OUTBOX_RELAY_NAME ?? name,
    broker: createBusBroker(busUrl, log),
    log,
    ...(env.OUTBOX_KEEP_HOURS === undefined ? {} : { keepMs: positive(env, 'OUTBOX_KEEP_HOURS') * 3_600_000 }),
    ...(env.OUTBOX_MAX_ATTEMPTS === undefined ? {} : { maxAttempts: positive(env, 'OUTBOX_MAX_ATTEMPTS') }),
  });
  const server = await serveJson(
    { port: portFrom(env, 3_001), host: env.HOST ?? '127.0.0.1' },
    async ({ path }) => {
      switch (path) {
        // Only whether the process answers: a restart would bring neither database nor broker back.
        case '/health/live':
          return { status: 200, body: { status: 'up' } };
        case '/health/ready': {
          const { role, problem } = relay.status;
          const status = role === 'connecting' ? 'down' : problem === null ? 'up' : 'degraded';
          return { status: status === 'down' ? 503 : 200, body: { status, ...relay.status } };
        }
        default:
          return { status: 404, body: { title: 'There is nothing here.', status: 404 } };
      }
    },
    (error) => log.error('a request failed', { error }),
  );
  log.info('listening', { url: server.url, mode });
  return {
    url: server.url,
    async stop() {
      await relay.stop();
      await server.stop();
    },
  };
}

function positive(env: NodeJS.ProcessEnv, name: string): number {
  const value = Number(env[name]);
  if (!(value > 0)) throw new Error(`${name} must be a number above 0; it is ${env[name]}`);
  return value;
}
