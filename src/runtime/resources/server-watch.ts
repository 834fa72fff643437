import type { ResolvedConfig, ResolvedResource } from '../../model/resolved.ts';
import type { Problem } from '../../model/result.ts';
import type { Clock, Timer } from '../clock.ts';

type UrlResource = Extract<ResolvedResource, { kind: 'url' }>;

export interface ServerWatchOptions {
  clock: Clock;
  ping(name: string, resource: UrlResource): Promise<Problem | null>;
  /** A server's state as it is known first, if it is bad, and whenever it changes; null: it answers again. */
  onChange(name: string, problem: Problem | null): void;
}

const INTERVAL_MS = 5_000;

interface Watched {
  readonly url: string;
  problem: Problem | null;
  timer: Timer | null;
}

/** Looks after the servers that mesh does not run: whether each answers, asked every five seconds. */
export class ServerWatch {
  private readonly servers = new Map<string, Watched>();

  constructor(private readonly options: ServerWatchOptions) {}

  /** Watches those of a configuration, and no others. */
  configure(config: ResolvedConfig): void {
    const wanted = new Map<string, UrlResource>();
    for (const { name, resource } of Object.values(config.services))
      if (resource?.kind === 'url') wanted.set(name, resource);
    for (const [name, watched] of this.servers) {
      if (wanted.get(name)?.url === watched.url) continue;
      this.forget(watched);
      this.servers.delete(name);
    }
    for (const [name, resource] of wanted) {
      if (this.servers.has(name)) continue;
      const watched: Watched = { url: resource.url, problem: null, timer: null };
      this.servers.set(name, watched);
      void this.look(name, resource, watched);
    }
  }

  /** What is wrong with one; null: nothing, as far as is known. */
  problem(name: string): Problem | null {
    return this.servers.get(name)?.problem ?? null;
  }

  close(): void {
    for (const watched of this.servers.values()) this.forget(watched);
    this.servers.clear();
  }

  private async look(name: string, resource: UrlResource, watched: Watched): Promise<void> {
    const found = await this.options.ping(name, resource);
    if (this.servers.get(name) !== watched) return;
    const before = watched.problem;
    watched.problem = found;
    if ((before === null) !== (found === null)) this.options.onChange(name, found);
    watched.timer = this.options.clock.setTimeout(() => void this.look(name, resource, watched), INTERVAL_MS);
  }

  private forget(watched: Watched): void {
    if (watched.timer !== null) this.options.clock.clearTimeout(watched.timer);
  }
}
