import { ok, type Problem, type Result } from '../../model/result.ts';
import type { InstanceState } from '../../model/status.ts';
import type { MeshNotice } from '../control/mesh-control.ts';
import type { LogStore } from './log-files.ts';

/** Lines shown with a failure. */
const FAILURE_LINES = 10;

export interface RecordContext {
  logs: LogStore;
  /** Something that `status` shows is different now. */
  changed(): void;
  notice(level: MeshNotice['level'], service: string, text: string, problems?: readonly Problem[]): void;
}

/** What is known and told about one instance: its state, its lines in the log, and those who wait for it. */
export class InstanceRecord {
  state: InstanceState = 'stopped';
  /** Why, for people; empty when there is nothing to say. */
  reason = '';
  restarts = 0;
  /** RFC 3339. */
  startedAt: string | null = null;
  readyAfterMs: number | null = null;
  private readonly service: string;
  private readonly id: string;
  private readonly context: RecordContext;
  private readonly waiters = new Set<(outcome: Result<void>) => void>();

  constructor(service: string, id: string, context: RecordContext) {
    this.service = service;
    this.id = id;
    this.context = context;
  }

  change(state: InstanceState, reason: string): void {
    this.state = state;
    this.reason = reason;
    this.context.changed();
  }

  /** Resolves when it next is ready or completed, or has failed once; at once if it is the former. */
  settled(): Promise<Result<void>> {
    return this.state === 'ready' || this.state === 'completed' ? Promise.resolve(ok(undefined)) : this.nextSettled();
  }

  nextSettled(): Promise<Result<void>> {
    return new Promise((resolve) => this.waiters.add(resolve));
  }

  settle(outcome: Result<void>): void {
    for (const waiter of this.waiters) waiter(outcome);
    this.waiters.clear();
  }

  /** To its log. */
  note(text: string): void {
    this.context.logs.note(this.service, this.id, text);
  }

  /** To its log, and to whoever is attached with what the process said last. */
  report(
    level: MeshNotice['level'],
    text: string,
    problems: readonly Problem[],
    run: { recentLines(): readonly string[] } | null = null,
  ): void {
    const lines = (run?.recentLines() ?? []).slice(-FAILURE_LINES).map((line) => `\n  ${line}`);
    this.note(text);
    this.context.notice(level, this.service, `${this.id}: ${text}${lines.join('')}`, problems);
  }
}
