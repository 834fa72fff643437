import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import type { Clock, Timer } from '../clock.ts';
import type { CertificateAuthority, Svid } from './certificate-authority.ts';

export interface RotationOptions {
  readonly authority: CertificateAuthority;
  readonly clock: Clock;
  /** Time a workload certificate is valid. */
  readonly ttlMs: number;
  /** Namespace in every identity. Default: `default`. */
  readonly namespace?: string;
  /** In [0, 1). Default: `Math.random`. */
  readonly random?: () => number;
  /** Called when a certificate could not be issued. The one before stays in force; it is tried again at each check. */
  readonly onProblem?: (problem: Problem) => void;
}

export type RotationListener = (svids: readonly Svid[]) => void;

/** Share of its time after which a certificate is replaced. */
const ROTATE_AT = 0.8;
/** Spread before that, as a share of the time, so that services issued together are not all replaced together. */
const JITTER = 0.04;
/** The wall clock is looked at this often at least: a laptop that slept finds its certificates expired. */
const CHECK_AT_MOST_MS = 30_000;
const CHECK_AT_LEAST_MS = 100;
/** The gateway's certificate, which is no SVID, is kept under a name that no service can have. */
const GATEWAY = '(gateway)';

interface Held {
  readonly svid: Svid;
  /** Wall clock. */
  readonly issuedAt: number;
  readonly rotateAt: number;
}

/** Keeps a valid certificate for each service, replacing each with a fresh key before it ends. Owns the timer. */
export class IdentityRotation {
  private readonly held = new Map<string, Held>();
  private readonly listeners = new Set<RotationListener>();
  private gatewayHosts: readonly string[] = [];
  private ttlMs: number;
  private timer: Timer | undefined;
  private renewing = false;
  private closed = false;

  constructor(private readonly options: RotationOptions) {
    this.ttlMs = options.ttlMs;
  }

  /** The certificate of a service, issued if it has none. */
  ensure(service: string): Result<Svid> {
    const held = this.held.get(service);
    if (held !== undefined && !this.due(held)) return ok(held.svid);
    return this.issueAndTell(service);
  }

  /**
   * The server certificate of the gateway for its HTTPS listener: localhost, `*.localhost` and each of `hosts`. It is
   * issued again when the hosts change. Browsers look at it, other proxies do not.
   */
  ensureGateway(hosts: readonly string[]): Result<Svid> {
    const held = this.held.get(GATEWAY);
    const same = hosts.length === this.gatewayHosts.length && hosts.every((host, i) => host === this.gatewayHosts[i]);
    if (held !== undefined && same && !this.due(held)) return ok(held.svid);
    const before = this.gatewayHosts;
    this.gatewayHosts = [...hosts];
    const issued = this.issueAndTell(GATEWAY);
    if (!issued.ok) this.gatewayHosts = before;
    return issued;
  }

  /** The gateway's server certificate, where there is one. */
  gateway(): Svid | undefined {
    return this.held.get(GATEWAY)?.svid;
  }

  /** Drops the certificate of a service that is gone. */
  forget(service: string): void {
    if (this.held.delete(service)) this.tell();
  }

  /** Replaces the certificate of one service, or of all and the gateway, now. All or none. */
  rotate(service?: string): Result<readonly Svid[]> {
    if (service !== undefined && !this.held.has(service)) {
      return fail({
        code: 'MESH-I109',
        message: `No certificate is held for service ${JSON.stringify(service)}`,
        hint: '`mesh certs` lists the services that have one',
      });
    }
    const fresh = new Map<string, Held>();
    for (const name of service === undefined ? this.held.keys() : [service]) {
      const issued = this.issue(name);
      if (!issued.ok) return issued;
      fresh.set(name, issued.value);
    }
    for (const [name, held] of fresh) this.held.set(name, held);
    this.arm();
    this.tell();
    return ok([...fresh].filter(([name]) => name !== GATEWAY).map(([, held]) => held.svid));
  }

  /** Changes the time that certificates are valid. Those that would now last too long are replaced at the next check. */
  setTtl(ttlMs: number): void {
    this.ttlMs = ttlMs;
    for (const [name, held] of this.held) {
      const latest = held.issuedAt + ttlMs * ROTATE_AT;
      if (name !== GATEWAY && held.rotateAt > latest) this.held.set(name, { ...held, rotateAt: latest });
    }
    this.arm();
  }

  /** Current SVIDs in the order in which their services came; without the gateway's server certificate. */
  list(): readonly Svid[] {
    return [...this.held].filter(([name]) => name !== GATEWAY).map(([, held]) => held.svid);
  }

  /** Calls back with `list()` after each change, the gateway's certificate and trust anchors included. Returns how to stop. */
  onChange(listener: RotationListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  close(): void {
    this.closed = true;
    this.listeners.clear();
    if (this.timer !== undefined) this.options.clock.clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** Due by age; or not valid yet, which happens when the clock is set back. */
  private due(held: Held): boolean {
    const now = this.options.clock.now();
    return now >= held.rotateAt || now < held.svid.notBefore;
  }

  private issueAndTell(name: string): Result<Svid> {
    const issued = this.issue(name);
    if (!issued.ok) return issued;
    this.held.set(name, issued.value);
    this.arm();
    this.tell();
    return ok(issued.value.svid);
  }

  private issue(name: string): Result<Held> {
    const { authority, clock, namespace, random = Math.random } = this.options;
    const issuedAt = clock.now();
    const issued =
      name === GATEWAY
        ? authority.issueGateway(this.gatewayHosts)
        : authority.issueSvid(name, { namespace, ttlMs: this.ttlMs });
    if (!issued.ok) return issued;
    // By the certificate, not the setting: the end of the intermediate may have cut it short.
    const lifetimeMs = issued.value.notAfter - issuedAt;
    const share = ROTATE_AT - JITTER * random();
    return ok({ svid: issued.value, issuedAt, rotateAt: issuedAt + Math.floor(lifetimeMs * share) });
  }

  private check(): void {
    this.renewAuthority();
    let changed = false;
    for (const [name, held] of this.held) {
      if (!this.due(held)) continue;
      const issued = this.issue(name);
      if (issued.ok) {
        this.held.set(name, issued.value);
        changed = true;
      } else {
        this.held.set(name, { ...held, rotateAt: this.options.clock.now() + this.checkMs() });
        this.report(issued.problems);
      }
    }
    this.arm();
    if (changed) this.tell();
  }

  /** Off the path: the renewed authority keeps name and key, so that certificates issued meanwhile are as good. */
  private renewAuthority(): void {
    if (this.renewing) return;
    this.renewing = true;
    void this.options.authority.renewIfDue().then((renewed) => {
      this.renewing = false;
      if (this.closed) return;
      if (!renewed.ok) this.report(renewed.problems);
      // Chains carry the authority's certificate: issue them again, and pass on the anchors with them.
      else if (renewed.value) this.report(problemsOf(this.rotate()));
    });
  }

  private arm(): void {
    const { clock } = this.options;
    if (this.timer !== undefined) clock.clearTimeout(this.timer);
    this.timer = undefined;
    if (this.closed || this.held.size === 0) return;
    const now = clock.now();
    let delayMs = this.checkMs();
    for (const held of this.held.values()) delayMs = Math.min(delayMs, held.rotateAt - now);
    this.timer = clock.setTimeout(() => this.check(), Math.max(delayMs, CHECK_AT_LEAST_MS));
  }

  private checkMs(): number {
    return Math.min(this.ttlMs / 10, CHECK_AT_MOST_MS);
  }

  private tell(): void {
    const svids = this.list();
    for (const listener of [...this.listeners]) listener(svids);
  }

  private report(problems: readonly Problem[]): void {
    for (const problem of problems) this.options.onProblem?.(problem);
  }
}

function problemsOf(result: Result<unknown>): readonly Problem[] {
  return result.ok ? [] : result.problems;
}
