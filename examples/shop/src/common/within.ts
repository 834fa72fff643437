/**
 * Does work that ends when `signal` aborts or the time is up. (AbortSignal.any would do, but every signal it makes
 * stays noted in its sources, and some of ours live as long as the process.)
 */
export async function within<T>(
  ms: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const inner = new AbortController();
  const abort = () => inner.abort(signal.reason);
  const timer = setTimeout(() => inner.abort(new Error(`no answer within ${ms} ms`)), ms);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await work(inner.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}
