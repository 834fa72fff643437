import { H2Connection } from '../src/proxy/http2/connection.ts';
import { Flag, FrameType, readUint32 } from '../src/proxy/http2/frames.ts';
import { HpackDecoder } from '../src/proxy/http2/hpack/decoder.ts';
import type { H2Stream } from '../src/proxy/http2/stream.ts';
import { OutBuffer } from '../src/proxy/out-buffer.ts';
import { recordRequests, recordResponses } from '../test/proxy/http1/recorder.ts';
import { silentEvents } from '../test/support/h2-server.ts';
import { readFrames } from './http2-audit.ts';
import { modeOf } from './proxy-apps.ts';

/** Whether what a client got so far is all that it will get, and whether all of it is right. */
export interface Judgement {
  done: boolean;
  wrong: string | null;
}

/** Judges what comes back on one connection. `closed`: nothing more will come. */
export type Judge = (output: Buffer, closed: boolean) => Judgement;

const header = (headers: readonly string[], name: string): string | undefined => {
  const at = headers.findIndex((text, i) => i % 2 === 0 && text === name);
  return at < 0 ? undefined : headers[at + 1];
};

/** Whether an echo is the answer to that request. Answers that are no echoes are the proxy's own. */
function echoFault(
  path: string,
  requestBody: string | null,
  headers: readonly string[],
  body: string | null,
): string | null {
  const echoed = header(headers, 'x-echo-path');
  if (echoed === undefined) return null;
  if (echoed !== encodeURIComponent(path)) return `the answer to ${echoed} came to ${encodeURIComponent(path)}`;
  if (requestBody === null || body === null) return null;
  const expected = modeOf(path) === 'early' ? 'early' : requestBody;
  return body === expected ? null : `the content of the answer to ${path} is not that of its request`;
}

/** The rules for a connection of HTTP/1.1 on which these bytes were sent. */
export function judgeHttp1(input: Buffer): Judge {
  const asked = recordRequests(input.toString('latin1'), { stop: true });
  const { messages, error } = asked;
  const last = messages.at(-1)?.head;
  const tunnels = last !== undefined && (last.method === 'CONNECT' || last.protocol !== null);
  // A tunnel's request is complete, and what follows its answer is not for us to judge.
  const complete = messages.filter((message) => message.ended || (message.head === last && tunnels)).length;
  const methods = messages.map(({ head }) => head.method);
  // What cannot be parsed is answered too, once.
  const all = error === null ? methods : [...methods, 'GET'];
  return (output, closed) => {
    const got = recordResponses(output.toString('latin1'), all.length === 0 ? ['GET'] : all, {
      upgradeAsked: true,
      finish: closed,
    });
    const opened = (i: number, status: number) => status === 101 || (methods[i] === 'CONNECT' && status < 300);
    const finals = got.messages.filter((message, i) => message.ended || opened(i, message.head.status));
    const beforeTunnel = tunnels ? Math.min(got.messages.length, messages.length - 1) : got.messages.length;
    const badlyFramed = got.error !== null && !/^(TRUNCATED_|NO_RESPONSE)/.test(got.error);
    if (badlyFramed && !(tunnels && got.messages.length >= messages.length))
      return { done: true, wrong: `the responses do not parse: ${got.error}` };
    for (let i = 0; i < beforeTunnel; i++) {
      const response = got.messages[i];
      const request = messages[i];
      if (request === undefined) {
        if (header(response.head.headers, 'x-echo-path') !== undefined)
          return { done: true, wrong: 'an answer to what was no request' };
        continue;
      }
      const body = !response.ended || request.head.method === 'HEAD' ? null : response.body;
      const fault = echoFault(request.head.path, request.ended ? request.body : null, response.head.headers, body);
      if (fault !== null) return { done: true, wrong: fault };
    }
    if (finals.length >= complete && (error === null || finals.length > messages.length))
      return { done: true, wrong: null };
    if (!closed) return { done: false, wrong: null };
    const lastHead = got.messages.at(-1)?.head;
    const announced = lastHead !== undefined && !lastHead.keepAlive;
    if (announced || error !== null || finals.length >= complete) return { done: true, wrong: null };
    return {
      done: true,
      wrong: `the connection was closed and ${complete - finals.length} of ${complete} requests had no answer`,
    };
  };
}

interface Asked {
  path: string;
  method: string;
  content: string;
  ended: boolean;
  dead: boolean;
}

/** The rules for a connection of HTTP/2 on which these bytes were sent. */
export function judgeHttp2(input: Buffer): Judge {
  const asked = new Map<number, Asked>();
  const end = (stream: H2Stream) => {
    asked.get(stream.id)!.ended = true;
  };
  let broken = false;
  const out = new OutBuffer(() => {});
  const connection = new H2Connection(
    'server',
    out,
    {
      ...silentEvents(),
      onRequest: (stream, head, endStream) =>
        asked.set(stream.id, { path: head.path, method: head.method, content: '', ended: endStream, dead: false }),
      onData(stream, buf, start, to, endStream) {
        connection.consume(stream, to - start);
        asked.get(stream.id)!.content += buf.toString('latin1', start, to);
        if (endStream) end(stream);
      },
      onTrailers: end,
      onReset(stream) {
        asked.get(stream.id)!.dead = true;
      },
      onConnectionError() {
        broken = true;
      },
    },
    { initialWindowBytes: 1 << 20, connectionWindowBytes: 1 << 24, enableConnectProtocol: true },
  );
  connection.receive(input);
  let mayBlock = false;
  for (const { type, payload } of readFrames(input).frames) {
    // Windows that a change has made too small for the answers: then they need not come.
    if (type === FrameType.Settings)
      for (let p = 0; p + 6 <= payload.length; p += 6)
        mayBlock ||= payload.readUInt16BE(p) === 4 && readUint32(payload, p + 2) < 1 << 20;
  }
  return (output, closed) => {
    const decoder = new HpackDecoder(1 << 20);
    const got = new Map<
      number,
      { headers: string[]; content: string; ended: boolean; reset: boolean; heads: number }
    >();
    const { frames } = readFrames(output);
    let goaway = false;
    for (let i = 0; i < frames.length; i++) {
      const { type, flags, streamId, payload } = frames[i];
      if (type === FrameType.Goaway) goaway = true;
      if (type !== FrameType.Headers && type !== FrameType.Data && type !== FrameType.RstStream) continue;
      let stream = got.get(streamId);
      if (stream === undefined)
        got.set(streamId, (stream = { headers: [], content: '', ended: false, reset: false, heads: 0 }));
      if (type === FrameType.Data) stream.content += payload.toString('latin1');
      else if (type === FrameType.RstStream) stream.reset = true;
      else {
        const parts = [payload];
        let endHeaders = (flags & Flag.EndHeaders) !== 0;
        while (!endHeaders && i + 1 < frames.length) {
          parts.push(frames[++i].payload);
          endHeaders = (frames[i].flags & Flag.EndHeaders) !== 0;
        }
        if (!endHeaders) break;
        const block = Buffer.concat(parts);
        const { headers } = stream;
        const sink = { field: (_kind: number, name: string, value: string) => void headers.push(name, value) };
        if (!decoder.decode(block, 0, block.length, sink))
          return { done: true, wrong: 'a header block of the answer does not decode' };
        stream.heads++;
      }
      if (type !== FrameType.RstStream && (flags & Flag.EndStream) !== 0) stream.ended = true;
    }
    for (const [id, { headers, content, ended }] of got) {
      const request = asked.get(id);
      if (request === undefined) {
        if (header(headers, 'x-echo-path') !== undefined)
          return { done: true, wrong: `stream ${id} was answered and never asked` };
        continue;
      }
      const body = !ended || request.method === 'HEAD' ? null : content;
      const fault = echoFault(request.path, request.ended && !request.dead ? request.content : null, headers, body);
      if (fault !== null) return { done: true, wrong: `stream ${id}: ${fault}` };
    }
    const waiting = [...asked].filter(
      ([id, { ended, dead }]) => ended && !dead && !got.get(id)?.ended && !got.get(id)?.reset,
    );
    return { done: closed || waiting.length === 0 || mayBlock || broken || goaway, wrong: null };
  };
}

/** The rules where the application answers anything: the client still gets HTTP, or the end of the connection. */
export function judgeDoubtful(input: Buffer): Judge {
  const methods = recordRequests(input.toString('latin1')).messages.map(({ head }) => head.method);
  return (output, closed) => {
    const got = recordResponses(output.toString('latin1'), methods, { upgradeAsked: true, finish: closed });
    if (got.error !== null && !/^(TRUNCATED_|NO_RESPONSE)/.test(got.error))
      return { done: true, wrong: `the responses do not parse: ${got.error}` };
    return { done: closed || got.messages.filter((m) => m.ended).length >= methods.length, wrong: null };
  };
}
