import { isUtf8 } from 'node:buffer';
import { setImmediate as immediate } from 'node:timers/promises';
import {
  type BodyMessage,
  type CapturedBody,
  type CapturedEvent,
  type EventBody,
  MOST_BODY_LIMIT_BYTES,
} from '../../model/bodies.ts';
import { problem } from '../../model/errors.ts';
import type { RequestEvent, TapBatch } from '../../model/events.ts';
import { redactText, redactValue } from '../../model/redact.ts';
import type { Problem, Result } from '../../model/result.ts';
import { decompress } from './decompress.ts';
import { grpcFrames } from './grpc-frames.ts';

/** A compressed body may become so many times the tap's limit: text shrinks to a fifth, what grows more is a bomb. */
const MOST_GROWTH = 8;
/** Messages of one body: the capture is limited in bytes, and an empty message takes five. */
const MOST_MESSAGES = 200;
/** Characters of bodies in one batch to a client, roughly. */
const MOST_CHARACTERS = 4 * 1024 * 1024;
/** Of the daemon's time at a stretch. */
const MOST_SLICE_MS = 5;

/** Makes JSON of gRPC messages. */
export interface MessageDecoder {
  /** Never takes longer than about two seconds. @returns MESH-B102 or MESH-B103 if the types are not known */
  method(service: string, path: string): Promise<Result<MethodTypes>>;
}

export interface MethodTypes {
  request: MessageType;
  response: MessageType;
}

export interface MessageType {
  /** Full name. */
  name: string;
  /** Throws if the bytes are no such message. */
  decode(data: Uint8Array): unknown;
}

export interface PresentOptions {
  limitBytes: number;
  /** Read anew for every event: it may be changed by a reload. */
  fields: () => ReadonlySet<string>;
  messages: MessageDecoder;
}

/** The events of a tap with bodies that people can read, which hold no secret field. */
export async function* presentBodies(
  source: AsyncIterable<TapBatch>,
  options: PresentOptions,
): AsyncGenerator<TapBatch> {
  for await (const { events, ...counts } of source) {
    let batch: TapBatch = { ...counts, events: [] };
    let characters = 0;
    let sliceBegan = performance.now();
    for (const event of events) {
      // What is awaited below mostly takes no turn of the event loop, which has more to do than this.
      if (performance.now() - sliceBegan > MOST_SLICE_MS) {
        await immediate();
        sliceBegan = performance.now();
      }
      const shown = await presentEvent(event, options);
      batch.events.push(shown);
      characters += sizeOf(shown.requestBody) + sizeOf(shown.responseBody);
      if (characters < MOST_CHARACTERS) continue;
      yield batch;
      characters = 0;
      batch = { events: [], dropped: 0, filtered: 0 };
    }
    if (batch.events.length > 0 || batch.dropped > 0 || batch.filtered > 0) yield batch;
  }
}

function sizeOf(body: EventBody | undefined): number {
  if (body === undefined) return 0;
  if (body.messages === undefined) return (body.text?.length ?? 0) + (body.base64?.length ?? 0);
  return body.messages.reduce((sum, { bytes }) => sum + 2 * Math.min(bytes, MOST_BODY_LIMIT_BYTES), 0);
}

async function presentEvent(event: CapturedEvent, options: PresentOptions): Promise<RequestEvent> {
  const { captured, ...rest } = event;
  if (captured === undefined) return rest;
  const types = event.protocol === 'grpc' ? await typesOf(event, captured, options.messages) : null;
  return {
    ...rest,
    requestBody: await presentBody(captured.request, 'request', types, options),
    responseBody: await presentBody(captured.response, 'response', types, options),
  };
}

async function typesOf(
  { destination, path }: RequestEvent,
  { request, response }: NonNullable<CapturedEvent['captured']>,
  messages: MessageDecoder,
): Promise<Result<MethodTypes> | null> {
  if (request.data.length + response.data.length === 0) return null;
  return messages.method(destination, path);
}

async function presentBody(
  captured: CapturedBody,
  side: 'request' | 'response',
  types: Result<MethodTypes> | null,
  { limitBytes, fields }: PresentOptions,
): Promise<EventBody> {
  const { contentType, encoding, data, bytes, dropped } = captured;
  const grpc = types !== null && contentType.startsWith('application/grpc');
  const body: EventBody = {
    contentType,
    encoding: encoding === 'identity' ? '' : encoding,
    bytes,
    truncated: data.length < bytes,
    note: dropped ? noteOf(problem('MESH-B105', { message: 'too many bodies were under way at once' })) : '',
  };
  if (data.length === 0) return body;
  if (grpc) return presentMessages(body, data, side, types, limitBytes * MOST_GROWTH, fields());
  const plain = await decompress(data, encoding, limitBytes * MOST_GROWTH);
  if (!plain.ok) return { ...body, note: noteOf(plain.problems[0]) };
  if (plain.value.cut && !body.truncated) {
    const message = `decompressed to more than ${limitBytes * MOST_GROWTH} bytes, or damaged at its end`;
    Object.assign(body, { truncated: true, note: noteOf(problem('MESH-B105', { message })) });
  }
  return { ...body, ...contentOf(plain.value.data, body, fields()) };
}

/** Of bytes that are no text the fields of forms are redacted too: uploads are such. */
function contentOf(
  data: Uint8Array,
  { contentType, truncated }: EventBody,
  fields: ReadonlySet<string>,
): Pick<EventBody, 'text' | 'base64'> {
  const text = textOf(data, contentType, truncated);
  if (text !== null) return { text: redactText(text, contentType, fields) };
  const bytes = redactText(Buffer.from(data).toString('latin1'), contentType || 'multipart/', fields);
  return { base64: Buffer.from(bytes, 'latin1').toString('base64') };
}

/** Null: it is none. @param cut the last character may be in pieces */
function textOf(data: Uint8Array, contentType: string, cut: boolean): string | null {
  const charset = /;\s*charset="?([\w-]+)/i.exec(contentType)?.[1].toLowerCase() ?? 'utf-8';
  if (charset === 'utf-8' || charset === 'utf8' || charset === 'us-ascii') {
    for (let less = 0; less <= (cut ? 3 : 0) && less < data.length; less++) {
      const part = data.subarray(0, data.length - less);
      if (!isUtf8(part)) continue;
      const text = Buffer.from(part).toString('utf8');
      return isBinary(text) ? null : text;
    }
    return null;
  }
  try {
    return new TextDecoder(charset).decode(data);
  } catch {
    return null;
  }
}

/** NUL is in no text; of other control characters a few are. */
function isBinary(text: string): boolean {
  if (text.includes('\0')) return true;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is counted
  const odd = text.match(/[\u0001-\u0008\u000e-\u001a\u001c-\u001f]/g)?.length ?? 0;
  return odd * 10 > text.length;
}

async function presentMessages(
  body: EventBody,
  data: Uint8Array,
  side: 'request' | 'response',
  types: Result<MethodTypes>,
  mostBytes: number,
  fields: ReadonlySet<string>,
): Promise<EventBody> {
  const type = types.ok ? types.value[side] : null;
  let { note } = body;
  if (!types.ok) note ||= noteOf(types.problems[0]);
  const frames = grpcFrames(data, MOST_MESSAGES);
  const messages: BodyMessage[] = [];
  let left = mostBytes;
  for (const frame of frames) {
    const message: BodyMessage = {
      type: type?.name ?? '',
      bytes: frame.bytes,
      truncated: frame.data.length < frame.bytes,
    };
    messages.push(message);
    const plain = await decompress(frame.data, frame.compressed ? body.encoding || '(no grpc-encoding)' : '', left);
    if (!plain.ok) {
      note ||= noteOf(plain.problems[0]);
      continue;
    }
    left -= plain.value.data.length;
    if (plain.value.cut) message.truncated = true;
    // Of what is cut off, or of a type that is not known, no field can be told, and so not those that are secret.
    if (type !== null && !message.truncated) {
      try {
        message.json = redactValue(type.decode(plain.value.data), fields);
      } catch (error) {
        note ||= noteOf(
          problem('MESH-B106', { message: `the ${side} is no ${type.name}: ${(error as Error).message}` }),
        );
      }
    }
  }
  const last = frames.at(-1);
  const truncated =
    body.truncated || frames.length === MOST_MESSAGES || (last !== undefined && last.data.length < last.bytes);
  return { ...body, truncated, messages, note };
}

const noteOf = ({ code, message, hint }: Problem): string =>
  `${code} ${message}${hint === undefined ? '' : `; ${hint}`}`;
