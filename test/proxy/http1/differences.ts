import { METHODS } from 'node:http';
import type { Reading } from './node-parser.ts';

/**
 * A difference on purpose: `ours` is our error code where Node's parser (llhttp with Node's defaults) goes on, `accepts`
 * where we go on and Node does not, `closes` where a message of ours is the last and Node's is not. A difference in what a message is, as opposed to where reading stops, is
 * never on purpose.
 */
export interface Difference {
  ours: string;
  /** Where the code alone does not say which rule it is. */
  when?: (text: string, ours: Reading, node: Reading) => boolean;
  section: string;
  why: string;
}

/** Whether the first message that Node refused has a method that Node does not know. */
function hasUnknownMethod(_text: string, ours: Reading, node: Reading): boolean {
  const method = ours.messages[node.messages.length]?.split(' ', 1)[0] ?? '';
  return method !== '' && !METHODS.includes(method);
}

const matches =
  (pattern: RegExp): NonNullable<Difference['when']> =>
  (text) =>
    pattern.test(text);

const HIGHER_MINOR: Difference = {
  ours: 'accepts',
  when: matches(/HTTP\/1\.[2-9][ \r]/),
  section: 'RFC 9110 2.5',
  why: 'a higher minor version is read as the highest known one',
};
const FAULTY_1_0: Difference = {
  ours: 'TE_IN_HTTP_1_0',
  section: 'RFC 9112 6.1',
  why: 'the framing of such a message is faulty',
};
const UNDOABLE_CODING: Difference = {
  ours: 'UNSUPPORTED_TRANSFER_CODING',
  section: 'RFC 9112 6.1',
  why: 'a coding that is not understood: 501 for a request, and nobody here can undo it in a response',
};
const OTHER_VERSION: Difference = {
  ours: 'VERSION_NOT_SUPPORTED',
  section: 'RFC 9110 15.6.6',
  why: 'HTTP/2.0 and 0.9 are no text protocol of this form',
};
const CLOSE_WINS: Omit<Difference, 'ours'> = {
  when: matches(/HTTP\/1\.0\r\n([^\r\n]+\r\n)*Connection:[^\r\n]*close/i),
  section: 'RFC 9112 9.3',
  why: 'close wins over keep-alive in HTTP/1.0 too, so that nothing behind the message is read',
};
const TAB_AROUND_LENGTH: Difference = {
  ours: 'accepts',
  when: matches(/Content-Length:[^\r\n]*\t/i),
  section: 'RFC 9110 5.6.3',
  why: 'white space around a value is SP and HTAB',
};
const NO_TOKEN_LIST: Difference = {
  ours: 'BAD_CONNECTION',
  section: 'RFC 9110 7.6.1',
  why: 'options are tokens: a proxy has to know what to remove',
};
const CHUNK_EXTENSION_SPACE: Difference = {
  ours: 'accepts',
  when: matches(/\r\n[0-9A-Fa-f]+[ \t]*;[^\r\n]*\r\n/),
  section: 'RFC 9112 7.1.1',
  why: 'white space around the parts of a chunk extension is in its grammar, and a recipient has to take it',
};
const CHUNK_EXTENSION_TOKENS: Difference = {
  ours: 'BAD_CHUNK_EXTENSION',
  section: 'RFC 9112 7.1.1',
  why: 'a name is a token, and = is followed by a value',
};
const FRAMING_TRAILERS: Difference = {
  ours: 'accepts',
  when: matches(/\r\n0+(;[^\r\n]*)?\r\n([^\r\n]+\r\n)*(Content-Length|Transfer-Encoding):/i),
  section: 'RFC 9110 6.5.1',
  why: 'framing fields in trailers are dropped, they cannot frame any more',
};
const UNCLEAR_CODING: Difference = {
  ours: 'BAD_TRANSFER_ENCODING',
  section: 'RFC 9112 6.3',
  why: 'an empty list or element hides what the coding is; a response until close has a coding that nobody can undo',
};

export const REQUEST_DIFFERENCES: readonly Difference[] = [
  {
    ours: 'accepts',
    when: hasUnknownMethod,
    section: 'RFC 9110 9.1',
    why: 'methods are extensible and case-sensitive; Node has a fixed list',
  },
  HIGHER_MINOR,
  TAB_AROUND_LENGTH,
  CHUNK_EXTENSION_SPACE,
  FRAMING_TRAILERS,
  { ours: 'accepts', ...CLOSE_WINS },
  { ours: 'closes', ...CLOSE_WINS },
  {
    ours: 'anything',
    when: matches(/^Connection:[^\r\n]*upgrade[\s\S]*^Upgrade:|^Upgrade:[\s\S]*^Connection:[^\r\n]*upgrade/im),
    section: 'RFC 9110 7.8',
    why: 'Upgrade in a request with a body is ignored and the body read; Node stops reading at the head',
  },
  { ours: 'BAD_REQUEST_LINE', section: 'RFC 9112 3', why: 'single spaces, and no HTTP/0.9 request without a version' },
  {
    ours: 'BAD_VERSION',
    section: 'RFC 9112 2.3',
    why: 'the name is HTTP: Node knows RTSP and ICE too; and single spaces',
  },
  OTHER_VERSION,
  {
    ours: 'BAD_METHOD',
    when: matches(/(^|\n|[^\r])\r\n\r\n/),
    section: 'RFC 9112 2.2',
    why: 'one empty line before a request is enough',
  },
  {
    ours: 'BARE_LF',
    when: matches(/(^|[^\r]|\r\n\r\n)\n(\r?\n)*([^\s:]+ +\S+[ \r]|$)/),
    section: 'RFC 9112 2.2',
    why: 'an empty line before a request ends with CRLF',
  },
  {
    ours: 'BARE_CR',
    when: matches(/(^|\n|[^\n])\r\r*\n?[^\s:]+ +\S+[ \r]/),
    section: 'RFC 9112 2.2',
    why: 'an empty line before a request ends with CRLF',
  },
  {
    ours: 'BAD_TARGET',
    section: 'RFC 9112 3.2',
    why: 'the form fits the method; no fragment, no user information, only http and https; CONNECT has a port',
  },
  {
    ours: 'CONNECT_WITH_BODY',
    section: 'RFC 9110 9.3.6',
    why: 'where the body ends and the tunnel begins is not defined',
  },
  { ours: 'MULTIPLE_HOSTS', section: 'RFC 9112 3.2', why: 'MUST be answered with 400' },
  { ours: 'BAD_HOST', section: 'RFC 9112 3.2', why: 'an invalid Host MUST be answered with 400' },
  { ours: 'MISSING_HOST', section: 'RFC 9112 3.2', why: 'Node answers 400 too, but reads on' },
  { ours: 'EXPECTATION_FAILED', section: 'RFC 9110 10.1.1', why: 'Node answers 417 too, but reads on' },
  {
    ours: 'CL_AND_TE',
    when: matches(/Transfer-Encoding:[ \t,]*\r\n/i),
    section: 'RFC 9112 6.1',
    why: 'an empty Transfer-Encoding beside Content-Length is two framings all the same',
  },
  UNDOABLE_CODING,
  UNCLEAR_CODING,
  FAULTY_1_0,
  CHUNK_EXTENSION_TOKENS,
  NO_TOKEN_LIST,
  { ours: 'BAD_UPGRADE', section: 'RFC 9110 7.8', why: 'protocols are tokens' },
];

export const RESPONSE_DIFFERENCES: readonly Difference[] = [
  {
    ours: 'accepts',
    when: matches(/^HTTP\/1\.\d (204|304) /),
    section: 'RFC 9112 6.3',
    why: 'these end with their head regardless of the fields; framing fields of a 204 are dropped',
  },
  {
    ours: 'accepts',
    when: matches(/HTTP\/1\.\d 1\d\d [\s\S]*Connection:[ \t]*close/i),
    section: 'RFC 9110 15.2',
    why: 'an interim response does not end the exchange, whatever it says about the connection',
  },
  HIGHER_MINOR,
  TAB_AROUND_LENGTH,
  CHUNK_EXTENSION_SPACE,
  FRAMING_TRAILERS,
  {
    ours: 'BAD_STATUS_LINE',
    section: 'RFC 9112 4',
    why: 'no controls in the reason, no code below 100, no empty line before a response',
  },
  {
    ours: 'BARE_CR',
    when: matches(/HTTP\/1\.\d \d{3} [^\n]*\r[^\n]/),
    section: 'RFC 9112 2.2',
    why: 'a bare CR in the reason phrase',
  },
  OTHER_VERSION,
  FAULTY_1_0,
  UNCLEAR_CODING,
  UNDOABLE_CODING,
  CHUNK_EXTENSION_TOKENS,
  NO_TOKEN_LIST,
];
