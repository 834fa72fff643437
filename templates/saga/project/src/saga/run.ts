import {
  ACTION_POLICY,
  type Call,
  COMPENSATION_POLICY,
  PARKED_MS,
  type Policy,
  Refused,
  type Saga,
  type Step,
  type Work,
} from './definition.ts';

export type Direction = 'action' | 'compensation';
export type State = 'accepted' | 'running' | 'completed' | 'compensating' | 'compensated' | 'parked';

/** What makes a run survive its process: after a crash the saga is run again, and what is written here is not repeated. */
export interface Journal {
  /** @returns what work resolved with, now or in an earlier run. Work that was cut short is repeated. */
  once<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Until the time that was reached by this pause when it was first begun. */
  pause(ms: number): Promise<void>;
  /** Runs the rest after a time, or when somebody asks for it. Once, like everything here. */
  later(rest: Rest, delayMs: number): Promise<void>;
}

/** What people see of a saga. */
export interface Chronicle {
  move(state: State, details?: { failure?: string; obstacle?: string }): Promise<void>;
  /** Notes that a call is about to be made. @returns null, and notes nothing, if the time for all of them is over */
  begin(call: CallPlan): Promise<Begun | null>;
  end(begun: Begun, outcome: 'done' | 'refused' | 'failed', error: string | null): Promise<void>;
  /** Whether somebody has done this compensation by hand. Forgets it; notes it in the history. */
  skipped(step: string): Promise<boolean>;
}

export interface CallPlan {
  readonly step: string;
  readonly direction: Direction;
  /** How often the saga has been parked before. Each time the deadline begins anew. */
  readonly parked: number;
  readonly attempt: number;
  readonly deadlineMs: number;
}

export interface Begun {
  readonly number: string;
  /** Until the deadline, which counts from the first attempt, also if another process made it. */
  readonly remainingMs: number;
  /** Whether an earlier call of it may have had its effect. */
  readonly doubtful: boolean;
}

/** What remains to be done of a parked saga. */
export interface Rest {
  readonly failure: string;
  /** Steps to compensate, in this order. */
  readonly steps: readonly string[];
  readonly results: Readonly<Record<string, unknown>>;
  /** How often it has been parked. */
  readonly parked: number;
}

export interface Surroundings {
  readonly id: string;
  readonly journal: Journal;
  readonly chronicle: Chronicle;
  /** From 0 to 1. */
  readonly random: () => number;
}

type Outcome =
  | { readonly kind: 'done'; readonly value: unknown }
  | { readonly kind: 'refused'; readonly error: string; readonly doubtful: boolean }
  | { readonly kind: 'failed'; readonly error: string; readonly expired: boolean; readonly pauseMs: number };

/** Runs a saga from its first step to its end, or until it has to be parked. Called again after a crash, with its journal. */
export async function runSaga<Input>(saga: Saga<Input>, input: Input, around: Surroundings): Promise<State> {
  const { journal, chronicle } = around;
  const results: Record<string, unknown> = {};
  const begun: string[] = [];
  await journal.once('running', () => chronicle.move('running'));
  for (const step of saga.steps) {
    const outcome = await perform(step, 'action', input, results, around, 0);
    if (outcome.kind === 'done') {
      results[step.name] = outcome.value;
      begun.unshift(step.name);
      continue;
    }
    // It did not happen only where every call of it was refused; otherwise it may have, and is compensated as well.
    if (outcome.kind === 'failed' || outcome.doubtful) begun.unshift(step.name);
    return compensate(
      saga,
      input,
      { failure: `${step.name}: ${outcome.error}`, steps: begun, results, parked: 0 },
      around,
    );
  }
  await journal.once('completed', () => chronicle.move('completed'));
  return 'completed';
}

/** Undoes steps in the order given, each until it is done. What cannot be undone parks the saga with the rest. */
export async function compensate<Input>(
  saga: Saga<Input>,
  input: Input,
  { failure, steps, results, parked }: Rest,
  around: Surroundings,
): Promise<State> {
  const { journal, chronicle } = around;
  await journal.once('compensating', () => chronicle.move('compensating', { failure }));
  for (const [index, name] of steps.entries()) {
    const step = saga.steps.find((each) => each.name === name);
    if (step === undefined) throw new Error(`${saga.kind} version ${saga.version} has no step ${name}`);
    if (step.compensation === undefined) continue;
    if (parked > 0 && index === 0 && (await journal.once(`${name} skipped`, () => chronicle.skipped(name)))) continue;
    const outcome = await perform(step, 'compensation', input, results, around, parked);
    if (outcome.kind === 'done') continue;
    const rest: Rest = { failure, steps: steps.slice(index), results, parked: parked + 1 };
    await journal.later(rest, saga.parkedMs ?? PARKED_MS);
    await journal.once('parked', () => chronicle.move('parked', { failure, obstacle: `${name}: ${outcome.error}` }));
    return 'parked';
  }
  await journal.once('compensated', () => chronicle.move('compensated', { failure }));
  return 'compensated';
}

/** Calls until it is done, refused, or out of time. */
async function perform<Input>(
  step: Step<Input>,
  direction: Direction,
  input: Input,
  results: Readonly<Record<string, unknown>>,
  around: Surroundings,
  parked: number,
): Promise<Outcome> {
  const policy: Policy =
    direction === 'action'
      ? { ...ACTION_POLICY, ...step.policy }
      : { ...COMPENSATION_POLICY, ...step.compensationPolicy };
  const work = direction === 'action' ? step.action : step.compensation!;
  // Both directions have one key: that is how a compensation finds what it undoes.
  const key = `${around.id}/${step.name}`;
  let last = '';
  for (let attempt = 1; ; attempt++) {
    const title = `${step.name} ${direction}${parked > 0 ? ` ${parked + 1}` : ''} #${attempt}`;
    const plan: CallPlan = { step: step.name, direction, parked, attempt, deadlineMs: policy.deadlineMs };
    const outcome = await around.journal.once(title, () =>
      tryOnce(work, input, { key, attempt, results }, plan, policy, around),
    );
    if (outcome.kind !== 'failed') return outcome;
    if (outcome.expired) return last === '' ? outcome : { ...outcome, error: `${outcome.error}; before that: ${last}` };
    last = outcome.error;
    await around.journal.pause(outcome.pauseMs);
  }
}

/** One call. Never rejects: what it comes to is kept by the journal. */
async function tryOnce<Input>(
  work: Work<Input>,
  input: Input,
  call: Omit<Call, 'signal'>,
  plan: CallPlan,
  policy: Policy,
  { chronicle, random }: Surroundings,
): Promise<Outcome> {
  const pauseMs = pauseAfter(call.attempt, policy, random());
  let begun: Begun | null = null;
  try {
    begun = await chronicle.begin(plan);
    if (begun === null) {
      return { kind: 'failed', error: `not done within ${policy.deadlineMs} ms`, expired: true, pauseMs: 0 };
    }
    const value = await within(Math.min(policy.attemptTimeoutMs, begun.remainingMs), (signal) =>
      work(input, { ...call, signal }),
    );
    await chronicle.end(begun, 'done', null).catch(() => undefined);
    return { kind: 'done', value: value ?? null };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const kind = error instanceof Refused ? 'refused' : 'failed';
    // Without its end a call counts as one that may have happened: the safe side.
    if (begun !== null) await chronicle.end(begun, kind, message).catch(() => undefined);
    if (kind === 'refused') return { kind, error: message, doubtful: begun?.doubtful ?? true };
    return { kind, error: message, expired: false, pauseMs };
  }
}

/** Doubled from attempt to attempt, then between half and all of it, so that sagas that failed together part. */
function pauseAfter(attempt: number, { firstPauseMs, mostPauseMs }: Policy, random: number): number {
  const most = Math.min(mostPauseMs, firstPauseMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(most / 2 + (most / 2) * random);
}

async function within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new Error(`no answer within ${Math.round(ms)} ms`);
      controller.abort(error);
      reject(error);
    }, ms);
  });
  try {
    return await Promise.race([work(controller.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}
