import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../common/log.ts';
import type { Answer } from '../common/post-json.ts';
import { within } from '../common/within.ts';

const firstPauseMs = 200;
const longestPauseMs = 10_000;
const attemptMs = 3_000;

/** Undoes one step of an order; it gets a signal of its own, as the customer's deadline may have passed by now. */
export type Undo = (signal: AbortSignal) => Promise<Answer>;

/** Resolves after the first attempt, with its answer. Later ones go on in the background until one succeeds. */
export type Compensate = (step: string, undo: Undo) => Promise<Answer>;

/**
 * Undoing must succeed in the end, so it is repeated until it does or the service stops. (In production the steps still
 * open would be kept in a database, so that they outlive the process: that is what a saga engine adds.)
 */
export function createCompensation(stopping: AbortSignal, log: Log): Compensate {
  const attempt = (undo: Undo) => within(attemptMs, stopping, undo);

  async function repeat(step: string, undo: Undo): Promise<void> {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      await sleep(pauseMs, undefined, { signal: stopping });
      const answer = await attempt(undo);
      if (answer.kind !== 'unclear') return;
      log(`${step} failed`, { detail: answer.detail, nextInMs: pauseMs * 2 });
    }
  }

  return async (step, undo) => {
    const first = await attempt(undo);
    if (first.kind === 'unclear') {
      log(`${step} failed`, { detail: first.detail, nextInMs: firstPauseMs });
      repeat(step, undo).catch(() => log(`${step} still open at the end`));
    }
    return first;
  };
}
