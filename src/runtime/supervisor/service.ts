import path from 'node:path';
import { watch } from 'chokidar';
import { problem } from '../../model/errors.ts';
import type { ResolvedService } from '../../model/resolved.ts';
import { fail, ok, type Result } from '../../model/result.ts';
import type { ServiceStatus } from '../../model/status.ts';
import type { Timer } from '../clock.ts';
import type { Progress, UnmetDependency } from './dependency-graph.ts';
import { describeUnmet } from './dependency-graph.ts';
import { Instance, type InstanceContext, type InstanceSpec } from './instance.ts';
import { inheritedEnvironment, readEnvFiles } from './instance-environment.ts';
import { describeExit, startProcess } from './process.ts';
import { type Blocker, endProcess } from './process-end.ts';

/** Saves come in bursts (editors, formatters, `git checkout`): wait until they are over. */
const WATCH_SETTLE_MS = 100;

/** `orders-1`, or `inventory-canary-1` where the service declares subsets. `number` counts from 1. */
export function instanceId(service: ResolvedService, subset: string, number: number): string {
  const plain = service.subsets.length === 1 && service.subsets[0].name === 'default';
  return plain ? `${service.name}-${number}` : `${service.name}-${subset}-${number}`;
}

/** The instances of one service, its build and its watched files. */
export class Service {
  service: ResolvedService;
  /** Asked to run: it starts as soon as its dependencies allow. */
  wanted = false;
  /** Its dependencies were met; from then on they no longer matter. */
  launched = false;
  unmet: UnmetDependency[] = [];
  private readonly context: InstanceContext;
  private readonly instances = new Map<string, Instance>();
  private readonly ending = new Map<string, Promise<unknown>>();
  private replicas: Map<string, number>;
  private building: Promise<Result<void>> | null = null;
  private endBuild: (() => Promise<unknown>) | null = null;
  private watcher: ReturnType<typeof watch> | null = null;
  private watchTimer: Timer | null = null;
  private reloading: Promise<void> | null = null;
  private reloadAgain = false;

  constructor(service: ResolvedService, context: Omit<InstanceContext, 'build'>) {
    this.service = service;
    this.context = { ...context, build: () => this.build() };
    this.replicas = new Map(service.subsets.map(({ name, replicas }) => [name, replicas]));
    this.fitInstances();
  }

  get progress(): Progress {
    if (this.service.external !== null) return { started: true, ready: true, completed: true, failed: null };
    const all = [...this.instances.values()].map(({ spec, progress }) => ({ subset: spec.subset.name, ...progress }));
    const bySubset = this.service.subsets.map(({ name }) => all.filter(({ subset }) => subset === name));
    const wanted = bySubset.filter((instances) => instances.length > 0);
    const failed = wanted.flat().find(({ state }) => state === 'failed');
    const ready = wanted.every((instances) =>
      instances.some(({ state }) => state === 'ready' || state === 'completed'),
    );
    return {
      started: this.launched && all.every(({ started }) => started),
      // One of each subset serves; the rest may follow.
      ready: this.launched && ready,
      completed: this.launched && all.every(({ state }) => state === 'completed'),
      failed: failed === undefined ? null : failed.reason,
    };
  }

  get isRunning(): boolean {
    return this.ending.size > 0 || [...this.instances.values()].some((instance) => instance.isRunning);
  }

  status(spiffeId: string): ServiceStatus {
    const { name, protocol, external, task } = this.service;
    const waiting = this.wanted && !this.launched ? this.unmet : [];
    const instances = [...this.instances.values()].map((instance) => instance.status(spiffeId));
    if (waiting.length > 0)
      for (const instance of instances) {
        instance.state = 'starting';
        instance.reason = `waiting for ${waiting.map(describeWait).join(', ')}`;
      }
    if (external !== null) {
      const none = { pid: null, inboundPort: null, outboundPort: null, startedAt: null, readyAfterMs: null };
      const outside = { id: `${name}-1`, subset: 'default', appPort: external.port, restarts: 0, spiffeId: '' };
      instances.push({ ...none, ...outside, state: 'ready', reason: 'not started by mesh' });
    }
    return { name, protocol, external: external !== null, task, waitingFor: waiting.map(describeUnmet), instances };
  }

  /** Ports of instances that are not started yet, so that whoever depends on them can be told. */
  async launch(): Promise<Result<void>> {
    this.launched = true;
    this.unmet = [];
    this.watchFiles();
    const all = [...this.instances.values()];
    await Promise.all(all.map((instance) => instance.stopped()));
    if (!this.launched) return ok(undefined);
    return firstFailure(
      all.map((instance) => {
        instance.start();
        return instance.record.settled();
      }),
    );
  }

  /** Takes over a changed section. Running instances keep their process until `restart`. The value: new instances. */
  update(service: ResolvedService): Instance[] {
    const before = this.service;
    this.service = service;
    for (const { name, replicas } of service.subsets) {
      const declared = before.subsets.find((subset) => subset.name === name)?.replicas;
      if (declared !== replicas || !this.replicas.has(name)) this.replicas.set(name, replicas);
    }
    const added = this.fitInstances();
    if (before.watch.join('\0') !== service.watch.join('\0') && this.watcher !== null) {
      this.unwatch();
      this.watchFiles();
    }
    return added;
  }

  /** Builds, then replaces the processes one after another; what runs goes on if anything on the way fails. */
  async restart(cause: string, concerns: (instance: Instance) => boolean = () => true): Promise<Result<void>> {
    this.launched = true;
    this.watchFiles();
    if (this.service.build !== null) {
      // One that began before cannot know the latest change.
      if (this.building !== null) await this.building;
      const built = await this.build();
      if (!built.ok) {
        const keeps = [...this.instances.values()].some(({ progress }) => progress.state === 'ready');
        const text = `${built.problems[0].message}${keeps ? '; the old process keeps serving' : ''}`;
        this.context.notice('error', this.service.name, text, built.problems);
        return built;
      }
    }
    for (const instance of [...this.instances.values()].filter(concerns)) {
      if (!this.launched) break;
      const outcome = await instance.restart(cause);
      if (!outcome.ok) return outcome;
    }
    return ok(undefined);
  }

  async stop(options: { drain: boolean }): Promise<Blocker[]> {
    this.launched = false;
    this.unwatch();
    await this.endBuild?.();
    const left = await Promise.all([...this.instances.values()].map((instance) => instance.stop(options)));
    await Promise.all(this.ending.values());
    return left.flat();
  }

  /** Resolves when the new instances are ready and those too many are gone. `subset` null: each of them. */
  async scale(subset: string | null, replicas: number): Promise<Result<void>> {
    for (const { name } of this.service.subsets)
      if (subset === null || subset === name) this.replicas.set(name, replicas);
    const added = this.fitInstances();
    const endings = [...this.ending.values()];
    const outcome = await firstFailure(
      added.filter((instance) => instance.isRunning).map((instance) => instance.record.settled()),
    );
    await Promise.all(endings);
    return outcome;
  }

  /** Gone for good: everything stopped and the ports released. */
  async remove(): Promise<Blocker[]> {
    const left = await this.stop({ drain: true });
    await Promise.all([...this.instances.keys()].map((id) => this.context.network.close(id)));
    this.instances.clear();
    return left;
  }

  /** Creates and ends instances until there are as many as wanted, and hands everyone the present section. */
  private fitInstances(): Instance[] {
    const { service } = this;
    if (service.external !== null) return [];
    const wanted = new Map<string, InstanceSpec>();
    for (const subset of service.subsets)
      for (let number = 1; number <= (this.replicas.get(subset.name) ?? subset.replicas); number++) {
        const id = instanceId(service, subset.name, number);
        wanted.set(id, { id, service, subset });
      }
    for (const [id, instance] of this.instances) {
      if (wanted.has(id)) continue;
      this.instances.delete(id);
      this.ending.set(id, this.endInstance(id, instance));
    }
    const added: Instance[] = [];
    for (const [id, spec] of wanted) {
      const existing = this.instances.get(id);
      if (existing !== undefined) {
        existing.spec = spec;
        continue;
      }
      const instance = new Instance(spec, this.context);
      this.instances.set(id, instance);
      added.push(instance);
      if (this.launched) void this.startAdded(id, instance);
    }
    this.context.changed();
    return added;
  }

  private async startAdded(id: string, instance: Instance): Promise<void> {
    const before = this.ending.get(id);
    if (before === undefined) return instance.start();
    // Its ports still belong to the one of the same name that is ending.
    await before;
    if (this.launched && this.instances.get(id) === instance) instance.start();
  }

  private async endInstance(id: string, instance: Instance): Promise<void> {
    await instance.stop({ drain: true });
    await this.context.network.close(id);
    this.ending.delete(id);
    this.context.changed();
  }

  private build(): Promise<Result<void>> {
    this.building ??= this.buildOnce().finally(() => {
      this.building = null;
      this.endBuild = null;
    });
    return this.building;
  }

  private async buildOnce(): Promise<Result<void>> {
    const { service, context } = this;
    if (service.build === null) return ok(undefined);
    const id = `${service.name}-build`;
    const files = readEnvFiles(service);
    if (!files.ok) return files;
    const env = { ...inheritedEnvironment(context.inherited), ...files.value, ...service.env };
    const output = context.logs.collect(service.name, id, crypto.randomUUID());
    if (!output.ok) return output;
    const { cwd, name: owner } = service;
    const { clock, ledger, scan, force, baseDir } = context;
    const startedMs = performance.now();
    const request = { instance: id, owner, command: service.build, cwd, baseDir, env, ports: [] };
    const started = await startProcess({ ...request, output: output.value.descriptors }, ledger);
    if (!started.ok) {
      output.value.finish();
      return started;
    }
    const end = (): Promise<Blocker[]> =>
      endProcess(started.value, { clock, ledger, scan, force, signal: 'SIGTERM', graceMs: 1_000 });
    this.endBuild = end;
    const exit = await started.value.exited;
    await end();
    output.value.finish();
    if (exit.code === 0) {
      context.logs.note(owner, id, `built in ${Math.round(performance.now() - startedMs)} ms`);
      return ok(undefined);
    }
    const lines = output.value
      .recentLines()
      .slice(-10)
      .map((line) => `\n  ${line}`);
    return fail(
      problem('MESH-P104', {
        message: `the build of ${owner} ${describeExit(exit)}${lines.join('')}`,
        hint: `see \`mesh logs ${owner}\``,
        path: ['services', owner, 'build'],
      }),
    );
  }

  private watchFiles(): void {
    if (this.watcher !== null || this.service.watch.length === 0) return;
    const { clock } = this.context;
    const changed = new Set<string>();
    this.watcher = watch([...this.service.watch], {
      ignoreInitial: true,
      atomic: true,
      ignored: (file) => isIgnored(path.relative(this.service.cwd, file)),
    });
    this.watcher.on('all', (_event, file) => {
      changed.add(file);
      if (this.watchTimer !== null) clock.clearTimeout(this.watchTimer);
      this.watchTimer = clock.setTimeout(() => {
        this.watchTimer = null;
        const files = [...changed].map((name) => path.relative(this.service.cwd, name));
        changed.clear();
        void this.reload(files.length === 1 ? `${files[0]} changed` : `${files.length} files changed`);
      }, WATCH_SETTLE_MS);
    });
    this.watcher.on('error', (error) => {
      const text = `${this.service.name}: cannot watch its files: ${(error as Error).message}`;
      this.context.notice('warning', this.service.name, text);
    });
  }

  /** Changes that come while it restarts lead to one more restart. */
  private async reload(cause: string): Promise<void> {
    this.reloadAgain = true;
    this.reloading ??= (async () => {
      while (this.reloadAgain && this.launched) {
        this.reloadAgain = false;
        await this.restart(`restarting: ${cause}`);
      }
    })().finally(() => {
      this.reloading = null;
    });
    await this.reloading;
  }

  private unwatch(): void {
    if (this.watchTimer !== null) this.context.clock.clearTimeout(this.watchTimer);
    this.watchTimer = null;
    void this.watcher?.close();
    this.watcher = null;
  }
}

const IGNORED = new Set(['node_modules', '.mesh', '.git']);

function isIgnored(file: string): boolean {
  return file.split(path.sep).some((part) => IGNORED.has(part)) || /(~|\.sw[a-p]|\.tmp)$/.test(file);
}

function describeWait(unmet: UnmetDependency): string {
  return unmet.failed === null ? describeUnmet(unmet) : `${describeUnmet(unmet)}, which failed: ${unmet.failed}`;
}

async function firstFailure(outcomes: readonly Promise<Result<void>>[]): Promise<Result<void>> {
  const failed = (await Promise.all(outcomes)).filter((outcome) => !outcome.ok);
  return failed.length === 0 ? ok(undefined) : fail(...failed.flatMap(({ problems }) => problems));
}
