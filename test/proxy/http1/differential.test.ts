import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REQUESTS, RESPONSES } from './corpus.ts';
import { mutations } from './mutations.ts';
import { nodeClientReader, nodeServerReader, type Reading } from './node-parser.ts';
import { type Recording, recordRequests, recordResponses } from './recorder.ts';

/**
 * A difference on purpose. `ours` is our error code, or `accepts`; Node's parser (llhttp with Node's defaults) does the
 * opposite. A difference in what the messages are, as opposed to where reading stops, is never on purpose.
 */
interface Difference {
  ours: string;
  /** Where the code alone does not say which rule it is. */
  when?: RegExp;
  section: string;
  why: string;
}

const REQUEST_DIFFERENCES: readonly Difference[] = [
  {
    ours: 'accepts',
    when: /^(?!\s*(GET|HEAD|POST|OPTIONS|PROPFIND|CONNECT) )/,
    section: 'RFC 9110 9.1',
    why: 'methods are extensible and case-sensitive; Node has a fixed list',
  },
  {
    ours: 'accepts',
    when: / HTTP\/1\.[2-9]\r\n/,
    section: 'RFC 9110 2.5',
    why: 'a higher minor version is read as the highest known one',
  },
  {
    ours: 'accepts',
    when: /\r\n0*[0-9A-Fa-f]+([ \t]*;[ \t]*[^;\r\n]+)*\r\n/,
    section: 'RFC 9112 7.1.1',
    why: 'bad white space around the parts of a chunk extension is part of its grammar',
  },
  {
    ours: 'accepts',
    when: /\r\n0+\r\n([^\r\n]+\r\n)*(Content-Length|Transfer-Encoding):/i,
    section: 'RFC 9110 6.5.1',
    why: 'framing fields in trailers are dropped, they cannot frame any more',
  },
  { ours: 'BAD_REQUEST_LINE', section: 'RFC 9112 3', why: 'single spaces, and no HTTP/0.9 request without a version' },
  {
    ours: 'BAD_VERSION',
    section: 'RFC 9112 2.3',
    why: 'the name is HTTP: Node knows RTSP and ICE too; and single spaces',
  },
  {
    ours: 'VERSION_NOT_SUPPORTED',
    section: 'RFC 9110 15.6.6',
    why: 'HTTP/2.0 and 0.9 are no text protocol of this form',
  },
  { ours: 'BAD_METHOD', when: /^(\r\n){2}/, section: 'RFC 9112 2.2', why: 'one empty line before a request is enough' },
  { ours: 'BARE_LF', when: /^(\r\n)?\n/, section: 'RFC 9112 2.2', why: 'an empty line ends with CRLF' },
  { ours: 'BARE_CR', when: /^\r/, section: 'RFC 9112 2.2', why: 'an empty line ends with CRLF' },
  {
    ours: 'BAD_TARGET',
    section: 'RFC 9112 3.2',
    why: 'the form has to fit the method, no fragments, no user information, http and https only, CONNECT with a port',
  },
  {
    ours: 'CONNECT_WITH_BODY',
    section: 'RFC 9110 9.3.6',
    why: 'where the body ends and the tunnel begins is not defined',
  },
  { ours: 'MULTIPLE_HOSTS', section: 'RFC 9112 3.2', why: 'MUST be answered with 400' },
  { ours: 'BAD_HOST', section: 'RFC 9112 3.2', why: 'an invalid Host MUST be answered with 400' },
  { ours: 'UNSUPPORTED_TRANSFER_CODING', section: 'RFC 9112 6.1', why: 'an unknown coding is answered with 501' },
  {
    ours: 'BAD_TRANSFER_ENCODING',
    section: 'RFC 9112 6.3',
    why: 'an empty list or list element hides what the coding is',
  },
  { ours: 'TE_IN_HTTP_1_0', section: 'RFC 9112 6.1', why: 'the framing of such a message is faulty' },
  { ours: 'BAD_CHUNK_EXTENSION', section: 'RFC 9112 7.1.1', why: 'a name is a token, and = is followed by a value' },
  { ours: 'BAD_CONNECTION', section: 'RFC 9110 7.6.1', why: 'options are tokens: a proxy has to know what to remove' },
  { ours: 'BAD_UPGRADE', section: 'RFC 9110 7.8', why: 'protocols are tokens' },
];

const RESPONSE_DIFFERENCES: readonly Difference[] = [
  {
    ours: 'accepts',
    when: /^HTTP\/1\.[2-9] /,
    section: 'RFC 9110 2.5',
    why: 'a higher minor version is read as the highest known one',
  },
  {
    ours: 'BAD_STATUS_LINE',
    section: 'RFC 9112 4',
    why: 'no controls in the reason, no code below 100, no empty line before a response',
  },
  { ours: 'VERSION_NOT_SUPPORTED', section: 'RFC 9112 2.3', why: 'HTTP/2.0 and 0.9 are no text protocol of this form' },
  { ours: 'TE_IN_HTTP_1_0', section: 'RFC 9112 6.1', why: 'the framing of such a message is faulty' },
  {
    ours: 'BAD_TRANSFER_ENCODING',
    section: 'RFC 9112 6.3',
    why: 'a body until close in a coding that nobody here can undo',
  },
  { ours: 'UNSUPPORTED_TRANSFER_CODING', section: 'RFC 9112 6.1', why: 'only chunked can be undone here' },
  { ours: 'BAD_CONNECTION', section: 'RFC 9110 7.6.1', why: 'options are tokens: a proxy has to know what to remove' },
];

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

function ourResponse(method: string, text: string): Reading {
  const recording = recordResponses(text, [method], { finish: true });
  const [first] = recording.messages;
  if (first?.ended) return { messages: [`${first.head.status} ${first.body}`], verdict: 'complete' };
  return { messages: [], verdict: verdictOf(recording) };
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
  // A broken message in two pieces: neither has accepted it, and when to give up is a matter of taste.
  const weAccept = ours.verdict === 'complete';
  const nodeAccepts = node.verdict === 'complete' || node.verdict === 'HPE_CLOSED_CONNECTION';
  if (weAccept === nodeAccepts && ours.messages.length === node.messages.length) return null;
  if (!weAccept && !nodeAccepts && ours.messages.length === node.messages.length) return null;
  const kind = ours.messages.length > node.messages.length || (weAccept && !nodeAccepts) ? 'accepts' : ours.verdict;
  const difference = allowed.find((d) => d.ours === kind && (d.when === undefined || d.when.test(text)));
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
    const cases = texts.map((text) => ['GET', text] as const);
    expect(await inBatches(cases, compare(new Set()))).toEqual([]);
  });
});
