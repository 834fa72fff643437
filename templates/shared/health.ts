/** Health as a tree: what this service consists of and depends on, each with its own health. */
export interface Health {
  readonly status: 'up' | 'degraded' | 'down';
  readonly latencyMs?: number;
  readonly error?: string;
  readonly checks?: Readonly<Record<string, Health>>;
}

export interface Check {
  /** Whether the service can do without: it is degraded then, not down. */
  readonly optional?: boolean;
  /** @throws where it is down */
  readonly probe: (signal: AbortSignal) => Promise<Health | void>;
}

const TIMEOUT_MS = 1_000;

/** All checks at once. Down if a needed one is down, degraded if an optional one is or a part is degraded. */
export async function examine(checks: Readonly<Record<string, Check>>): Promise<Health> {
  const entries = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => [name, await probe(check)] as const),
  );
  const down = entries.some(([name, { status }]) => status === 'down' && !checks[name].optional);
  const impaired = entries.some(([, { status }]) => status !== 'up');
  return { status: down ? 'down' : impaired ? 'degraded' : 'up', checks: Object.fromEntries(entries) };
}

async function probe(check: Check): Promise<Health> {
  const startedAt = performance.now();
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error(`no answer within ${TIMEOUT_MS} ms`)), { once: true });
  });
  try {
    const found = await Promise.race([check.probe(signal), late]);
    return { ...(found ?? { status: 'up' }), latencyMs: since(startedAt) };
  } catch (error) {
    return { status: 'down', latencyMs: since(startedAt), error: (error as Error).message };
  }
}

const since = (startedAt: number): number => Math.round((performance.now() - startedAt) * 10) / 10;

/**
 * Services named in HEALTH_DEPENDENCIES (`inventory,payments`), at the addresses in INVENTORY_URL and so on: their own
 * trees become branches of ours. They are optional: a service that is down must not take down those that call it.
 */
export function dependenciesFrom(env: NodeJS.ProcessEnv): Record<string, Check> {
  const names = (env.HEALTH_DEPENDENCIES ?? '').split(',').filter((name) => name !== '');
  return Object.fromEntries(
    names.map((name) => {
      const variable = `${name.toUpperCase().replaceAll('-', '_')}_URL`;
      const url = env[variable];
      if (url === undefined) throw new Error(`HEALTH_DEPENDENCIES names ${name}, but ${variable} is not set`);
      const probeIt = async (signal: AbortSignal): Promise<Health> => {
        const response = await fetch(`${url}/health/ready`, { signal });
        const tree = (await response.json().catch(() => null)) as Health | null;
        return tree?.status ? tree : { status: response.ok ? 'up' : 'down' };
      };
      return [name, { optional: true, probe: probeIt }];
    }),
  );
}
