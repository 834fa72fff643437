import type { Coverage } from '../../model/injection.ts';
import type { Problem } from '../../model/result.ts';
import type { InjectionsOptions } from './contract.ts';
import { inboundCoverage, outboundCoverage } from './coverage.ts';
import type { Injected } from './injected.ts';
import type { InterceptedWorkload, Interception } from './interception.ts';

/** What is done to injected processes so that the mesh sees their traffic, and what it then sees of it. */
export class Oversight {
  /** By instance: interceptions that were asked for, and what they said. */
  private readonly applied = new Map<string, Map<Interception, Coverage[]>>();
  private closed = false;

  constructor(
    private readonly options: Pick<
      InjectionsOptions,
      'network' | 'identity' | 'trust' | 'interceptions' | 'notice' | 'changed'
    >,
  ) {}

  /** Applies what was asked for and probes both directions. What could not be applied is in the coverage, with its reason. */
  async begin(injected: Injected): Promise<void> {
    if (injected.state !== 'ready' || this.closed) return;
    const { instance } = injected;
    const workload = this.workloadOf(injected);
    const wanted = workload === null ? [] : this.options.interceptions.filter(({ name }) => injected[name]);
    if (workload !== null && wanted.length > 0) {
      // Known before it is applied: whoever ends it meanwhile undoes it after that.
      const known = this.applied.get(instance) ?? new Map<Interception, Coverage[]>();
      this.applied.set(instance, known);
      for (const interception of wanted) {
        known.set(interception, known.get(interception) ?? []);
        const applied = await interception.apply(workload);
        if (this.applied.get(instance) !== known) return;
        known.set(
          interception,
          applied.ok ? applied.value : applied.problems.map((each) => refused(interception.name, each)),
        );
      }
    }
    await this.look(injected);
  }

  /** Destinations may have changed. */
  async renew(all: ReadonlyMap<string, Injected>): Promise<void> {
    for (const [instance, applied] of this.applied) {
      const injected = all.get(instance);
      const workload = injected === undefined ? null : this.workloadOf(injected);
      if (workload === null || injected?.state !== 'ready') continue;
      for (const interception of [...applied.keys()]) {
        const again = await interception.apply(workload);
        // Ended meanwhile.
        if (this.applied.get(instance) !== applied) break;
        if (again.ok) applied.set(interception, again.value);
      }
    }
  }

  /** Undoes what was done to its process. */
  async end(instance: string): Promise<void> {
    const applied = this.applied.get(instance);
    this.applied.delete(instance);
    for (const interception of applied?.keys() ?? []) {
      const removed = await interception.remove(instance);
      if (!removed.ok)
        this.options.notice('error', '', `${instance}: ${interception.name} is not undone`, removed.problems);
    }
  }

  /** Undoes all of it, what is being applied at this moment included, and does nothing more. */
  async close(): Promise<void> {
    this.closed = true;
    for (const instance of [...this.applied.keys()]) await this.end(instance);
  }

  private async look(injected: Injected): Promise<void> {
    const identity = this.options.identity.ensure(injected.service);
    const inbound = identity.ok
      ? await inboundCoverage(injected, identity.value, this.options.trust())
      : refused('', identity.problems[0]);
    const intercepted = [...(this.applied.get(injected.instance)?.values() ?? [])].flat();
    injected.coverage = [inbound, ...intercepted, ...(await outboundCoverage(injected, intercepted))];
    this.options.changed();
  }

  private workloadOf({ instance, service, pid, host, port, ports }: Injected): InterceptedWorkload | null {
    if (pid === null) return null;
    const applicationPorts: Record<string, { host: string; port: number }[]> = {};
    for (const member of this.options.network.instances()) {
      // To one that speaks TLS itself its clients do too, which the plain listener would not understand.
      if (member.ports.app === null || member.service === service || member.application?.tls) continue;
      const at = { host: member.application?.host ?? '127.0.0.1', port: member.ports.app };
      (applicationPorts[member.service] ??= []).push(at);
    }
    return {
      ...{ instance, service, pid, app: { host, port }, applicationPorts },
      inboundPort: ports.inbound,
      outboundPort: ports.outbound,
      destinations: ports.dependencies,
    };
  }
}

/** @param subject an interception; empty: the inbound side */
function refused(subject: string, { message, hint = '' }: Problem): Coverage {
  return { direction: subject === '' ? 'inbound' : 'outbound', subject, covered: false, detail: message, fix: hint };
}
