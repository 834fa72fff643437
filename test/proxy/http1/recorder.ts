import type { Http1Limits } from '../../../src/proxy/http1/limits.ts';
import type { Http1ErrorCode } from '../../../src/proxy/http1/parse-error.ts';
import { type Http1RequestHead, Http1RequestParser } from '../../../src/proxy/http1/request-parser.ts';
import { type Http1ResponseHead, Http1ResponseParser } from '../../../src/proxy/http1/response-parser.ts';
import { type AfterHead, CONTINUE, STOP } from '../../../src/proxy/http1/signals.ts';
import type { Headers, ResponseHead } from '../../../src/proxy/message.ts';

/** One message as the events told it; body pieces are joined, because where reads end must not matter. */
export interface RecordedMessage<Head> {
  head: Head;
  body: string;
  ended: boolean;
  trailers: Headers | null;
}

export interface Recording<Head> {
  messages: RecordedMessage<Head>[];
  informational: ResponseHead[];
  error: Http1ErrorCode | null;
  status: number;
  /** Bytes behind a head that asked to stop, or behind the last message. */
  rest: string;
}

const latin1 = (s: string): Buffer => Buffer.from(s, 'latin1');

/** Cuts at those positions; none of them: one piece. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts)].filter((c) => c > 0 && c < bytes.length).sort((a, b) => a - b);
  const all: Buffer[] = [];
  let from = 0;
  for (const to of [...at, bytes.length]) {
    // A view into a larger buffer, as reads from a pool are: offsets other than 0 must work.
    const pool = Buffer.alloc(to - from + 16, 0x0a);
    bytes.copy(pool, 7, from, to);
    all.push(pool.subarray(7, 7 + to - from));
    from = to;
  }
  return all;
}

export interface RecordOptions {
  limits?: Http1Limits;
  cuts?: readonly number[];
  /** Stop behind heads that switch protocols. */
  stop?: boolean;
  /** Tell the parser that the connection ended. */
  finish?: boolean;
}

function emptyRecording<Head>(): Recording<Head> {
  return { messages: [], informational: [], error: null, status: 0, rest: '' };
}

function bodyEvents<Head>(recording: Recording<Head>) {
  const current = (): RecordedMessage<Head> => recording.messages[recording.messages.length - 1];
  return {
    onData(buf: Buffer, start: number, end: number): void {
      if (end <= start) throw new Error('an empty piece of data');
      current().body += buf.latin1Slice(start, end);
    },
    onEnd(trailers: Headers | null): void {
      if (current().ended) throw new Error('ended twice');
      current().ended = true;
      current().trailers = trailers;
    },
    onParseError(error: { code: Http1ErrorCode; status: number }): void {
      if (recording.error !== null) throw new Error('a second error');
      recording.error = error.code;
      recording.status = error.status;
    },
  };
}

export function recordRequests(text: string, options: RecordOptions = {}): Recording<Http1RequestHead> {
  const recording = emptyRecording<Http1RequestHead>();
  let stopped = false;
  const parser = new Http1RequestParser(
    {
      ...bodyEvents(recording),
      onRequest(head): AfterHead {
        recording.messages.push({ head, body: '', ended: false, trailers: null });
        stopped = options.stop === true && (head.method === 'CONNECT' || head.protocol !== null);
        return stopped ? STOP : CONTINUE;
      },
    },
    options.limits,
  );
  for (const piece of pieces(latin1(text), options.cuts ?? [])) {
    let at = 0;
    while (at < piece.length && !stopped) {
      const next = parser.execute(piece, at, piece.length);
      if (next <= at) throw new Error('no progress');
      at = next;
    }
    recording.rest += piece.latin1Slice(at);
  }
  if (options.finish) parser.finish();
  return recording;
}

export function recordResponses(
  text: string,
  methods: readonly string[] = ['GET'],
  options: RecordOptions & { upgradeAsked?: boolean } = {},
): Recording<Http1ResponseHead> {
  const recording = emptyRecording<Http1ResponseHead>();
  let stopped = false;
  let asked = 0;
  const parser = new Http1ResponseParser(
    {
      ...bodyEvents(recording),
      onInformational(head) {
        recording.informational.push(head);
      },
      onResponse(head): AfterHead {
        recording.messages.push({ head, body: '', ended: false, trailers: null });
        stopped = head.status === 101 || (methods[asked - 1] === 'CONNECT' && head.status < 300);
        return stopped ? STOP : CONTINUE;
      },
    },
    options.limits,
  );
  const ask = (): void => {
    if (parser.idle && asked < methods.length) parser.expect(methods[asked++], options.upgradeAsked ?? false);
  };
  ask();
  for (const piece of pieces(latin1(text), options.cuts ?? [])) {
    let at = 0;
    while (at < piece.length && !stopped) {
      const next = parser.execute(piece, at, piece.length);
      if (next < at) throw new Error('went back');
      at = next;
      ask();
    }
    recording.rest += piece.latin1Slice(at);
  }
  if (options.finish) parser.finish();
  return recording;
}

/** A request with these lines behind the request line and Host. */
export function request(...lines: string[]): string {
  return ['GET / HTTP/1.1', 'Host: a', ...lines, '', ''].join('\r\n');
}

export function response(...lines: string[]): string {
  return ['HTTP/1.1 200 OK', ...lines, '', ''].join('\r\n');
}
