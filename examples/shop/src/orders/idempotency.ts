import { isDeepStrictEqual } from 'node:util';
import { keepRecent } from '../common/keep-recent.ts';
import { ok, type Result } from '../common/result.ts';

export interface Idempotency<T, E> {
  /**
   * Does the work once per key. Whoever comes with the same key and the same request gets the same answer, also while
   * the work is still going on. Work that failed is forgotten: the next one with the key tries again.
   */
  once(key: string, request: unknown, work: () => Promise<Result<T, E>>): Promise<Result<Once<T>, E>>;
}

export interface Once<T> {
  answer: T;
  replayed: boolean;
}

const rememberedKeys = 10_000;

export function createIdempotency<T, E>(differentRequest: Result<never, E>): Idempotency<T, E> {
  const answers = new Map<string, { request: unknown; result: Promise<Result<T, E>> }>();

  return {
    async once(key, request, work) {
      const known = answers.get(key);
      if (known && !isDeepStrictEqual(known.request, request)) return differentRequest;

      const result = known?.result ?? work();
      if (!known) {
        answers.set(key, { request, result });
        keepRecent(answers, rememberedKeys);
        const forget = () => void (answers.get(key)?.result === result && answers.delete(key));
        result.then((settled) => settled.ok || forget(), forget);
      }
      const settled = await result;
      return settled.ok ? ok({ answer: settled.value, replayed: known !== undefined }) : settled;
    },
  };
}
