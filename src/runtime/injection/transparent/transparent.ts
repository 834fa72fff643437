import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { problem } from '../../../model/errors.ts';
import type { Coverage } from '../../../model/injection.ts';
import { fail, ok, type Problem, type Result } from '../../../model/result.ts';
import { readProcess } from '../../state/process-table.ts';
import type { InterceptedWorkload, Interception } from '../interception.ts';
import type { InterceptionContext } from '../interceptions.ts';
import { processTree } from '../process-tree.ts';
import type { Hierarchy } from './cgroups.ts';
import { ControlGroups, usableHierarchy } from './control-groups.ts';
import { type OpenConnection, openConnections, probeCoverage } from './coverage.ts';
import { zoneOf } from './dns-answers.ts';
import { DnsServer } from './dns-server.ts';
import { Ipv6Relay } from './ipv6-relay.ts';
import { checkWorkload, hostKind, tableName, virtualAddresses } from './names.ts';
import { runNft } from './nft.ts';
import { systemResolvers } from './resolvers.ts';
import { checkRights, sharesNetwork, userOf } from './rights.ts';
import { DNS_RENEWAL_MS, type PacketMatch, renewalText, ruleText } from './rules.ts';
import { removeTable, undoRecorded } from './undo.ts';

/** Name of the data planes' control group. No instance is called so: theirs end in a number. */
const PROXIES = 'proxies';

export interface TransparentOptions extends InterceptionContext {
  /** Default: those of /etc/resolv.conf. */
  resolvers?: () => readonly string[];
}

interface Intercepted {
  workload: InterceptedWorkload;
  match: PacketMatch;
  unredirected: readonly OpenConnection[];
  coverage: Coverage[];
}

/**
 * Interception by the kernel: nftables redirects what the workload's processes connect to into its dependency listeners,
 * and refuses everyone but the data plane at its application port. One table for each mesh, replaced as a whole.
 */
export class TransparentInterception implements Interception {
  readonly name = 'transparent';
  private readonly table: string;
  private readonly groups: ControlGroups;
  private readonly workloads = new Map<string, Intercepted>();
  /** By port of the dependency listener. */
  private readonly relays = new Map<number, Ipv6Relay>();
  private dns: DnsServer | null = null;
  /** The table is in the kernel, or may be. */
  private loaded = false;
  /** Renews the lease of the DNS redirection while the table is there. */
  private renewal: NodeJS.Timeout | null = null;
  /** Null: packets are matched by user. */
  private hierarchy: Hierarchy | null = null;
  private queue: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: TransparentOptions) {
    const key = meshKey(options.stateDir);
    this.table = tableName(key);
    this.groups = new ControlGroups(options.stateDir, key, this.table);
    options.dataPlanes.onSpawn((pid) => this.onDataPlane(pid));
  }

  /** Problems, with nothing changed: MESH-J301 to J308, J310, J311, or the record cannot be written. */
  apply(workload: InterceptedWorkload): Promise<Result<Coverage[]>> {
    return this.inTurn(() => this.applyOnce(workload));
  }

  /** Problems: MESH-J309. The record keeps what is left, for `mesh down`. */
  remove(instance: string): Promise<Result<void>> {
    return this.inTurn(() => this.removeOnce(instance));
  }

  recover(): Promise<void> {
    return this.inTurn(async () => {
      // Never while something of this daemon's own is in force: the record is about that then.
      if (this.workloads.size > 0) return;
      const undone = await undoRecorded(this.options.stateDir);
      if (!undone.ok)
        for (const { message, hint } of undone.problems) this.options.notice('error', '', `${message}; ${hint}`);
    });
  }

  /** A data plane was just spawned, synchronously: from its first connection on it has to be let through. */
  private onDataPlane(pid: number): void {
    if (this.hierarchy === null || this.groups.directory(PROXIES) === undefined) return;
    const moved = this.groups.move(PROXIES, [pid], this.hierarchy);
    if (!moved.ok) this.options.notice('error', '', moved.problems[0].message);
  }

  // -- apply ------------------------------------------------------------------------------------------------------

  private async applyOnce(workload: InterceptedWorkload): Promise<Result<Coverage[]>> {
    const before = this.workloads.get(workload.instance);
    if (before !== undefined && JSON.stringify(before.workload) === JSON.stringify(workload))
      return ok(before.coverage);
    const nft = checkRights();
    if (!nft.ok) return nft;
    const checked = checkWorkload(workload);
    if (!checked.ok) return checked;
    const reachable = checkProcess(workload.pid);
    if (reachable !== null) return fail(reachable);
    const chosen = this.chooseMatch(workload);
    if (!chosen.ok) return chosen;

    const pids = processTree(workload.pid, this.meshProcesses()).map(({ pid }) => pid);
    const unredirected = before?.unredirected ?? openConnections(workload, pids);
    const established = await this.establish(nft.value, workload, unredirected);
    if (!established.ok) {
      await this.restore(workload.instance, before, nft.value);
      return established;
    }
    const { match } = established.value;
    const coverage = await probeCoverage({
      workload,
      match,
      group: this.groups.directory(workload.instance) ?? null,
      addresses: this.addresses(),
      dnsPort: this.dns?.port ?? 0,
      relays: this.relayPorts(),
      unredirected,
    });
    this.workloads.set(workload.instance, { workload, match, unredirected, coverage });
    return ok(coverage);
  }

  /** Everything that changes the system, in an order in which nothing is refused that was allowed before. */
  private async establish(
    nft: string,
    workload: InterceptedWorkload,
    unredirected: readonly OpenConnection[],
  ): Promise<Result<{ match: PacketMatch }>> {
    const listening = await this.listen(workload);
    if (!listening.ok) return listening;
    const { instance, pid } = workload;
    const { hierarchy } = this;
    if (hierarchy !== null) {
      // Without a data plane at this moment: the next one is a child of this process too.
      const origins = [...this.proxies(), process.pid];
      for (const [member, origin] of [
        [PROXIES, origins[0]],
        [instance, pid],
      ] as const) {
        const opened = this.groups.open(member, origin, hierarchy);
        if (!opened.ok) return opened;
      }
    } else {
      const recorded = this.groups.write();
      if (!recorded.ok) return recorded;
    }
    const uid = userOf(pid);
    const match: PacketMatch =
      hierarchy === null ? { kind: 'uid', uid: uid ?? 0 } : this.groups.match(instance, hierarchy);
    if (hierarchy === null && uid === null) return fail(processGone(pid));
    this.workloads.set(instance, { workload, match, unredirected, coverage: [] });
    this.dns?.setZone(zoneOf(this.addresses()));
    const rules = this.rules();
    const complaint = await runNft(nft, rules, { check: true });
    if (complaint !== null) return fail(refused(complaint));
    if (hierarchy !== null) {
      const moved = this.groups.move(PROXIES, this.proxies(), hierarchy);
      if (!moved.ok) return moved;
    }
    this.loaded = true;
    const failure = await runNft(nft, rules, { check: false });
    if (failure !== null) return fail(refused(failure));
    this.renewal ??= setInterval(() => void this.renew(nft), DNS_RENEWAL_MS);
    if (hierarchy !== null) {
      const moved = this.groups.moveTree(instance, pid, this.meshProcesses(), hierarchy);
      if (!moved.ok) return moved;
    }
    return ok({ match });
  }

  /** What was in force before an attempt that failed. */
  private async restore(instance: string, before: Intercepted | undefined, nft: string): Promise<void> {
    if (before === undefined) {
      await this.removeOnce(instance);
      return;
    }
    this.workloads.set(instance, before);
    this.dns?.setZone(zoneOf(this.addresses()));
    if (this.loaded) await runNft(nft, this.rules(), { check: false });
  }

  /** How packets are told apart, the same for all workloads of the mesh. */
  private chooseMatch(workload: InterceptedWorkload): Result<void> {
    const hierarchy = usableHierarchy([workload.pid, process.pid, ...this.proxies()]);
    const uid = userOf(workload.pid);
    const own = process.geteuid?.();
    if (this.workloads.size === 0) this.hierarchy = hierarchy;
    else if (this.hierarchy !== null && hierarchy?.mount !== this.hierarchy.mount) {
      return fail(
        problem('MESH-J306', {
          message: `pid ${workload.pid} is in no control group of ${this.hierarchy.mount} that the mesh may write to`,
          hint: 'start the mesh with `sudo mesh up`; in a container, its control groups must be writable',
        }),
      );
    }
    if (this.hierarchy !== null || (uid !== null && uid !== own)) return ok(undefined);
    return fail(
      problem('MESH-J305', {
        message: `no control group can be made for pid ${workload.pid}, and it runs as the user of the mesh (uid ${own})`,
        hint: 'mount the unified hierarchy and let the mesh write to it (`sudo mesh up`), or run the process as another user',
      }),
    );
  }

  /** The DNS server and the relays, before any rule leads to them. */
  private async listen(workload: InterceptedWorkload): Promise<Result<void>> {
    if (this.dns === null) {
      const started = await DnsServer.start({ resolvers: this.options.resolvers ?? systemResolvers() });
      if (!started.ok) return started;
      this.dns = started.value;
    }
    for (const [service, listener] of Object.entries(workload.destinations)) {
      const hosts = (workload.applicationPorts[service] ?? []).map(({ host }) => hostKind(host));
      // A host of IPv4 alone is not reached over IPv6.
      if (this.relays.has(listener) || hosts.every((kind) => kind === 'v4' || kind === null)) continue;
      const relay = await Ipv6Relay.start(listener);
      if (relay === null) break;
      this.relays.set(listener, relay);
    }
    return ok(undefined);
  }

  private rules(): string {
    return ruleText({
      table: this.table,
      workloads: [...this.workloads.values()],
      proxies:
        this.hierarchy === null
          ? [{ kind: 'uid', uid: process.geteuid?.() ?? 0 }]
          : [this.groups.match(PROXIES, this.hierarchy)],
      addresses: this.addresses(),
      dns: { port: this.dns?.port ?? 0, ipv6: this.dns?.ipv6 ?? false },
      relays: this.relayPorts(),
    });
  }

  private addresses(): Map<string, string> {
    return virtualAddresses([...this.workloads.values()].flatMap(({ workload }) => Object.keys(workload.destinations)));
  }

  private relayPorts(): Map<number, number> {
    return new Map([...this.relays].map(([listener, relay]) => [listener, relay.port]));
  }

  private proxies(): number[] {
    return this.options.dataPlanes.pids().filter((pid) => readProcess(pid) !== null);
  }

  /** Never part of a workload, though the mesh may have been started from its terminal. */
  private meshProcesses(): ReadonlySet<number> {
    return new Set([process.pid, ...this.options.dataPlanes.pids()]);
  }

  private renew(nft: string): Promise<void> {
    return this.inTurn(async () => {
      // Somebody flushed all rules, a firewall's reload say: those of the mesh come back with the next renewal.
      if (!this.loaded || (await runNft(nft, renewalText(this.table), { check: false })) === null) return;
      const failure = await runNft(nft, this.rules(), { check: false });
      if (failure !== null) return;
      this.options.notice(
        'warning',
        '',
        `the table inet ${this.table} was removed by another program; it is loaded again`,
      );
    });
  }

  // -- remove -----------------------------------------------------------------------------------------------------

  private async removeOnce(instance: string): Promise<Result<void>> {
    const known = this.workloads.delete(instance) || this.groups.directory(instance) !== undefined;
    if (this.workloads.size === 0) return this.removeAll();
    if (!known) return ok(undefined);
    this.dns?.setZone(zoneOf(this.addresses()));
    const nft = checkRights();
    if (!nft.ok) return nft;
    const complaint = await runNft(nft.value, this.rules(), { check: false });
    if (complaint !== null) return fail(refused(complaint));
    this.closeRelays();
    return this.groups.close(instance);
  }

  private async removeAll(): Promise<Result<void>> {
    const problems: Problem[] = [];
    if (this.loaded) {
      const removed = await removeTable(this.table);
      if (removed.ok) this.loaded = false;
      else problems.push(...removed.problems);
    }
    for (const member of this.groups.members()) {
      const closed = await this.groups.close(member);
      if (!closed.ok) problems.push(...closed.problems);
    }
    if (this.renewal !== null) clearInterval(this.renewal);
    this.renewal = null;
    this.dns?.close();
    this.dns = null;
    this.closeRelays();
    if (problems.length > 0) return fail(...problems);
    this.groups.forget();
    return ok(undefined);
  }

  /** Those that no workload needs any more. */
  private closeRelays(): void {
    const needed = new Set(
      [...this.workloads.values()].flatMap(({ workload }) => Object.values(workload.destinations)),
    );
    for (const [listener, relay] of this.relays) {
      if (needed.has(listener)) continue;
      relay.close();
      this.relays.delete(listener);
    }
  }

  private inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.queue.then(run);
    this.queue = turn.catch(() => undefined);
    return turn;
  }
}

/** Names one mesh among all of this machine. */
function meshKey(stateDir: string): string {
  return createHash('sha256').update(realpathSync(stateDir)).digest('hex').slice(0, 12);
}

function checkProcess(pid: number): Problem | null {
  if (readProcess(pid) === null) return processGone(pid);
  const shared = sharesNetwork(pid);
  if (shared === null) return processGone(pid);
  if (shared) return null;
  return problem('MESH-J307', {
    message: `pid ${pid} is in another network namespace than the mesh, as in a container`,
    hint: 'take it in by a published port: `mesh inject --address HOST:PORT --as SERVICE`',
  });
}

const processGone = (pid: number): Problem =>
  problem('MESH-J311', { message: `pid ${pid} has ended`, hint: 'start it again, then `mesh inject` it' });

const refused = (complaint: string): Problem =>
  problem('MESH-J304', {
    message: `the packet rules are refused: ${complaint}`,
    hint: 'nothing was changed; `mesh validate --explain MESH-J304` lists what the kernel needs',
  });
