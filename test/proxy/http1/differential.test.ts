import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REQUESTS, RESPONSES } from './corpus.ts';
import { nodeClientReader, nodeServerReader, type Reading } from './node-parser.ts';
import { type Recording, recordRequests, recordResponses } from './recorder.ts';

const CASES = Number(process.env.DIFFERENTIAL_CASES ?? 400);
it('x', async () => {
  const server = await nodeServerReader();
  const seen = new Map<string, string[]>();
  for (const text of REQUESTS) {
    const node = await server.read(Buffer.from(text, 'latin1'));
    const ours = readRequests(text);
    const same = JSON.stringify(ours.messages) === JSON.stringify(node.messages);
    console.log(`${same ? 'same' : 'DIFF'} ${ours.verdict} | ${node.verdict} ${JSON.stringify(text.replace('GET / HTTP/1.1\r\nHost: a\r\n',''))} ${same ? '' : JSON.stringify([ours.messages, node.messages])}`);
  }
  await server.close();
  const client = await nodeClientReader();
  for (const [method, text] of RESPONSES) {
    const node = await client.read(Buffer.from(text, 'latin1'), method);
    const r = recordResponses(text, [method], { finish: true });
    const ours = { messages: r.messages.filter((m) => m.ended).map((m) => `${m.head.status} ${m.body}`), verdict: verdictOf(r) };
    const same = JSON.stringify(ours.messages) === JSON.stringify(node.messages);
    console.log(`${same ? 'same' : 'DIFF'} ${ours.verdict} | ${node.verdict} ${method} ${JSON.stringify(text)} ${same ? '' : JSON.stringify([ours.messages, node.messages])}`);
  }
  await client.close();
});
function verdictOf(r: Recording<unknown>) { return r.error === null ? 'complete' : /TRUNCATED|NO_RESPONSE/.test(r.error) ? 'truncated' : r.error }
function readRequests(text: string): Reading {
  const r = recordRequests(text, { finish: true, stop: true });
  const messages: string[] = [];
  for (const m of r.messages) { if (m.ended || m.head.method === 'CONNECT' || m.head.protocol) messages.push(`${m.head.method} ${m.body}`); if (!m.head.keepAlive) break; }
  return { messages, verdict: verdictOf(r) };
}
