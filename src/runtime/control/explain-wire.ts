/** What `mesh explain` asks between the model's type and the message of control.proto, as wire.ts does it for the rest. */
import type { ExplainQuery, Explanation } from '../../model/explanation.ts';

export type ExplainMessage = ReturnType<typeof explainQueryToWire>;

export function explainQueryToWire(query: ExplainQuery) {
  return { ...query, headers: query.headers.map(([name, value]) => ({ name, value })) };
}

export function explainQueryFromWire(wire: ExplainMessage): ExplainQuery {
  const { id, from, to, method, authority, path, headersKnown } = wire;
  const headers = wire.headers.map(({ name, value }): [string, string] => [name, value]);
  return { id, from, to, method, authority, path, headers, headersKnown };
}

export const explanationFromWire = (json: string): Explanation => JSON.parse(json) as Explanation;
