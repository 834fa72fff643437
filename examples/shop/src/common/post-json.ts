import type { Hop } from './hop.ts';

/**
 * What came of a call that changes something. `refused`: it was understood and did not happen. `unclear`: it may or
 * may not have happened (no answer, or one that something on the way gave), so it must be undone or asked again.
 */
export type Answer =
  | { kind: 'done'; servedBy: Hop }
  | { kind: 'refused'; status: number; detail: string; servedBy?: Hop }
  | { kind: 'unclear'; detail: string };

export interface CallOptions {
  headers: Record<string, string>;
  signal: AbortSignal;
}

export async function postJson(url: string, body: object, { headers, signal }: CallOptions): Promise<Answer> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    });
    const text = await response.text();
    if (response.status >= 500)
      return { kind: 'unclear', detail: `${url} answered ${response.status}: ${text.trim()}` };
    const { servedBy, detail } = JSON.parse(text) as { servedBy: Hop; detail?: string };
    return response.ok
      ? { kind: 'done', servedBy }
      : { kind: 'refused', status: response.status, detail: detail ?? '', servedBy };
  } catch (error) {
    return { kind: 'unclear', detail: `${url}: ${reasonOf(error)}` };
  }
}

/** fetch says only "fetch failed"; why stands in the cause. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
