import { createLog } from '../common/log.ts';
import { type RunningService, type StartOptions, selfFrom, urlFrom } from '../common/service.ts';
import { trickle } from './trickle.ts';

const defaultRate = 3;

/** Has no port of its own: it only calls the shop, RATE times a second. */
export async function startLoad({ env }: StartOptions): Promise<RunningService> {
  const log = createLog(env, selfFrom(env, 'load'));
  const gatewayUrl = urlFrom(env, 'gateway');
  const requestsPerSecond = Number(env.RATE ?? defaultRate);
  if (!(requestsPerSecond > 0)) throw new Error(`RATE must be a number of requests per second; it is ${env.RATE}`);

  const stopping = new AbortController();
  const done = trickle({ gatewayUrl, requestsPerSecond, random: Math.random, log, signal: stopping.signal });
  log(`about ${requestsPerSecond} requests a second to ${gatewayUrl}`);
  return {
    url: gatewayUrl,
    async stop() {
      stopping.abort();
      await done;
      log('stopped');
    },
  };
}
