import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../fuzz/random.ts';

/** Where the load goes. */
export interface Ports {
  gateway: number;
  gatewayTls: number;
  outbound: number;
  web: number;
  rpc: number;
  raw: number;
}

export type Ending = 'done' | 'aborted';

/** One client: what it does again and again. */
export interface LoadClient {
  /** One exchange or session, checked by content. Rejects with what was wrong. */
  once(): Promise<Ending>;
  close(): void;
}

/** A kind of traffic. */
export interface Load {
  readonly name: string;
  /** The service it goes to. */
  readonly service: 'web' | 'rpc' | 'raw';
  readonly clients: number;
  /** A session that a restart of its service may cut off: the mesh waits for it only so long. */
  readonly long: boolean;
  connect(ports: Ports, random: Random): LoadClient;
}

export interface Tally {
  done: number;
  aborted: number;
  /** Long sessions that ended with the process they were connected to. */
  cut: number;
  failed: Record<string, number>;
  /** What was done took so long, each. */
  tookMs: number[];
}

/** When each service was last restarted; Infinity while it is. */
export type Restarts = ReadonlyMap<string, { fromMs: number; toMs: number }>;

/** A session of any kind is over by then, or hangs. */
const SESSION_DEADLINE_MS = 30_000;
/** A process is killed so long after it was asked to end, and what it was connected to ends with it. */
const AFTERMATH_MS = 12_000;
const PAUSE_MS = 4;

export interface RunningLoads {
  readonly tallies: ReadonlyMap<string, Tally>;
  /** Ends when every client has finished what it was at. */
  stop(): Promise<void>;
}

export function startLoads(
  loads: readonly Load[],
  ports: Ports,
  restarts: Restarts,
  randomOf: (index: number) => Random,
): RunningLoads {
  const tallies = new Map<string, Tally>();
  let stopping = false;
  let index = 0;
  const workers: Promise<void>[] = [];
  for (const load of loads) {
    const tally: Tally = { done: 0, aborted: 0, cut: 0, failed: {}, tookMs: [] };
    tallies.set(load.name, tally);
    for (let i = 0; i < load.clients; i++) workers.push(work(load, tally, randomOf(index++)));
  }

  async function work(load: Load, tally: Tally, random: Random): Promise<void> {
    let client = load.connect(ports, random);
    while (!stopping) {
      const fromMs = performance.now();
      try {
        const ending = await within(client.once());
        tally[ending]++;
        if (ending === 'done') tally.tookMs.push(performance.now() - fromMs);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        const restart = restarts.get(load.service);
        const restarted =
          restart !== undefined && restart.toMs + AFTERMATH_MS > fromMs && restart.fromMs < performance.now();
        if (load.long && restarted && reason !== HANG) tally.cut++;
        else tally.failed[reason] = (tally.failed[reason] ?? 0) + 1;
        client.close();
        client = load.connect(ports, random);
      }
      await sleep(random.below(PAUSE_MS * 2));
    }
    client.close();
  }

  return {
    tallies,
    async stop() {
      stopping = true;
      await Promise.all(workers);
    },
  };
}

const HANG = `no end within ${SESSION_DEADLINE_MS / 1000} s`;

function within(session: Promise<Ending>): Promise<Ending> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(HANG)), SESSION_DEADLINE_MS);
  });
  return Promise.race([session, late]).finally(() => clearTimeout(timer));
}
