import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Http1ResponseParser } from '../../../src/proxy/http1/response-parser.ts';
import { CONTINUE } from '../../../src/proxy/http1/signals.ts';
import { REQUESTS, RESPONSES } from './corpus.ts';
import { type Difference, REQUEST_DIFFERENCES, RESPONSE_DIFFERENCES } from './differences.ts';
import { mutations } from './mutations.ts';
import { nodeClientReader, nodeServerReader, type Reading } from './node-parser.ts';
import { type Recording, recordRequests, recordResponses } from './recorder.ts';

/** Seeded, so that a failure can be run again; more cases and other seeds from the environment, for the fuzz run. */
const SEED = Number(process.env.HTTP1_DIFFERENTIAL_SEED ?? 1);
const CASES = Number(process.env.HTTP1_DIFFERENTIAL_CASES ?? 500);
const AT_ONCE = 8;

function verdictOf(recording: Recording<unknown>): string {
  if (recording.error === null) return 'complete';
  return /TRUNCATED|NO_RESPONSE/.test(recording.error) ? 'truncated' : recording.error;
}

function ourRequests(text: string): Reading {
  const recording = recordRequests(text, { finish: true, stop: true });
  const messages: string[] = [];
  for (const { head, body, ended } of recording.messages) {
    if (ended || head.method === 'CONNECT' || head.protocol !== null) messages.push(`${head.method} ${body}`);
    // Node closes then; what follows is nobody's.
    if (!head.keepAlive) return { messages, verdict: ended ? 'complete' : verdictOf(recording) };
  }
  return { messages, verdict: verdictOf(recording) };
}

/** The bytes of the first response of `text`, all of them if it does not end before. What is behind is no response. */
function firstResponse(method: string, text: string): string {
  const parser = new Http1ResponseParser({
    onInformational() {},
    onResponse: () => CONTINUE,
    onData() {},
    onEnd() {},
    onParseError() {},
  });
  parser.expect(method);
  const bytes = Buffer.from(text, 'latin1');
  return text.slice(0, parser.execute(bytes, 0, bytes.length));
}

function ourResponse(method: string, text: string): Reading {
  const recording = recordResponses(text, [method], { finish: true });
  return {
    messages: recording.messages.filter(({ ended }) => ended).map(({ head, body }) => `${head.status} ${body}`),
    verdict: verdictOf(recording),
  };
}

/** What is wrong with a pair of readings; null if they agree or differ on purpose. */
function objection(
  text: string,
  ours: Reading,
  node: Reading,
  allowed: readonly Difference[],
  used: Set<Difference>,
): string | null {
  const said = (): string =>
    `${JSON.stringify(text)}\n  ours: ${JSON.stringify(ours)}\n  node: ${JSON.stringify(node)}`;
  const common = Math.min(ours.messages.length, node.messages.length);
  for (let i = 0; i < common; i++) if (ours.messages[i] !== node.messages[i]) return `framed differently: ${said()}`;
  const weAccept = ours.verdict === 'complete';
  // What follows a request that closes the connection is an error to Node and nothing to us.
  const closed = node.verdict === 'HPE_CLOSED_CONNECTION' && node.messages.length > 0;
  const nodeAccepts = node.verdict === 'complete' || closed;
  if (ours.messages.length === node.messages.length) {
    // When to give up on an incomplete message is a matter of taste, and so is saying that the rest never came.
    if (weAccept === nodeAccepts || ours.verdict === 'truncated') return null;
  }
  const kind =
    ours.messages.length > node.messages.length || (weAccept && !nodeAccepts)
      ? 'accepts'
      : weAccept
        ? 'closes'
        : ours.verdict;
  const difference = allowed.find(
    (d) => (d.ours === kind || d.ours === 'anything') && (d.when?.(text, ours, node) ?? true),
  );
  if (difference === undefined) return `an unlisted difference (${kind}): ${said()}`;
  used.add(difference);
  return null;
}

async function inBatches<T>(all: readonly T[], work: (one: T) => Promise<string | null>): Promise<string[]> {
  const found: string[] = [];
  for (let i = 0; i < all.length; i += AT_ONCE) {
    for (const problem of await Promise.all(all.slice(i, i + AT_ONCE).map(work)))
      if (problem !== null) found.push(problem);
  }
  return found;
}

/** The table was written against this version; a newer one may have come to agree with us. */
const listedAgainst = process.versions.llhttp?.startsWith('8.1') ?? false;

describe('requests, against the parser of node:http', () => {
  let node: Awaited<ReturnType<typeof nodeServerReader>>;
  beforeAll(async () => {
    node = await nodeServerReader();
  });
  afterAll(() => node.close());

  const compare = (used: Set<Difference>) => async (text: string) =>
    objection(text, ourRequests(text), await node.read(Buffer.from(text, 'latin1')), REQUEST_DIFFERENCES, used);

  it('agree on the corpus but for what is listed, and everything listed is there', async () => {
    const used = new Set<Difference>();
    expect(await inBatches(REQUESTS, compare(used))).toEqual([]);
    if (listedAgainst) expect(REQUEST_DIFFERENCES.filter((d) => !used.has(d))).toEqual([]);
  });

  it(`agree on ${CASES} mutations of it (seed ${SEED})`, async () => {
    expect(await inBatches(mutations(REQUESTS, CASES, SEED), compare(new Set()))).toEqual([]);
  });
});

describe('responses, against the parser of node:http', () => {
  let node: Awaited<ReturnType<typeof nodeClientReader>>;
  beforeAll(async () => {
    node = await nodeClientReader();
  });
  afterAll(() => node.close());

  const compare =
    (used: Set<Difference>) =>
    async ([method, text]: readonly [string, string]) =>
      objection(
        text,
        ourResponse(method, text),
        await node.read(Buffer.from(text, 'latin1'), method),
        RESPONSE_DIFFERENCES,
        used,
      );

  it('agree on the corpus but for what is listed, and everything listed is there', async () => {
    const used = new Set<Difference>();
    expect(await inBatches(RESPONSES, compare(used))).toEqual([]);
    if (listedAgainst) expect(RESPONSE_DIFFERENCES.filter((d) => !used.has(d))).toEqual([]);
  });

  it(`agree on ${CASES} mutations of it (seed ${SEED})`, async () => {
    const texts = mutations(
      RESPONSES.map(([, text]) => text).filter((text) => text !== ''),
      CASES,
      SEED,
    );
    const cases = texts.map((text) => ['GET', firstResponse('GET', text)] as const);
    expect(await inBatches(cases, compare(new Set()))).toEqual([]);
  });
});
