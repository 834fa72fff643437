/** How long a call may take, and how it is repeated. */
export interface Policy {
  /** Of one attempt. What takes longer may have happened or not. */
  readonly attemptTimeoutMs: number;
  /** Of all attempts and the pauses between them, from the first one on. */
  readonly deadlineMs: number;
  /** Before the second attempt; doubled from one to the next. */
  readonly firstPauseMs: number;
  readonly mostPauseMs: number;
}

export interface Call {
  /** The same whenever this call is repeated, by whichever process: what the called one tells a repetition by. */
  readonly key: string;
  readonly attempt: number;
  /** Aborted when the time of this attempt is up. */
  readonly signal: AbortSignal;
  /** Of the actions that are done, by step. In a compensation, that of its own step is missing where it is not known. */
  readonly results: Readonly<Record<string, unknown>>;
}

/**
 * A call of another service, or a transaction. It has to be idempotent: it is made at least once. What it resolves with is
 * kept, as JSON, for later steps.
 * @throws Refused if it certainly did not happen and will not by being repeated; anything else is tried again
 */
export type Work<Input> = (input: Input, call: Call) => Promise<unknown>;

export interface Step<Input> {
  readonly name: string;
  readonly action: Work<Input>;
  /**
   * Undoes the action, and sees to it that an action that arrives later has no effect: it is also called where nobody knows
   * whether the action happened. None where there is nothing to undo, or another step's compensation undoes it.
   */
  readonly compensation?: Work<Input>;
  readonly policy?: Partial<Policy>;
  /** Of the compensation. When its deadline is over the saga is parked. */
  readonly compensationPolicy?: Partial<Policy>;
}

export interface Saga<Input> {
  readonly kind: string;
  /**
   * Sagas go on with the steps they began with. Who adds, removes or moves steps keeps the old definition beside the new one,
   * under its version, until no saga of it is left.
   */
  readonly version: number;
  readonly steps: readonly Step<Input>[];
  /** A parked saga tries its compensation again by itself after so long. */
  readonly parkedMs?: number;
}

/** What a participant answers when it will not do what it is asked: out of stock, card declined. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

export const ACTION_POLICY: Policy = {
  attemptTimeoutMs: 5_000,
  deadlineMs: 30_000,
  firstPauseMs: 200,
  mostPauseMs: 5_000,
};

export const COMPENSATION_POLICY: Policy = {
  attemptTimeoutMs: 5_000,
  deadlineMs: 120_000,
  firstPauseMs: 200,
  mostPauseMs: 15_000,
};

export const PARKED_MS = 300_000;

/** @throws Error for a definition that cannot work */
export function checkSaga({ kind, steps }: Saga<never>): void {
  const names = steps.map(({ name }) => name);
  if (names.length === 0) throw new Error(`the saga ${kind} has no steps`);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`the saga ${kind} has two steps named ${twice}`);
}
