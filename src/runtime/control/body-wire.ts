/** The same as wire.ts for bodies. */
import type { BodyMessage, EventBody } from '../../model/bodies.ts';

interface WireMessage {
  type: string;
  bytes: number;
  truncated: boolean;
  json?: string;
}

export interface WireBody {
  contentType: string;
  encoding: string;
  bytes: number;
  truncated: boolean;
  text?: string;
  data?: Uint8Array;
  messages?: { messages: WireMessage[] };
  note: string;
}

export function bodyToWire(body: EventBody | undefined): WireBody | undefined {
  if (body === undefined) return undefined;
  const { text, base64, messages, ...rest } = body;
  if (messages !== undefined) return { ...rest, messages: { messages: messages.map(messageToWire) } };
  if (base64 !== undefined) return { ...rest, data: Buffer.from(base64, 'base64') };
  return text === undefined ? rest : { ...rest, text };
}

const messageToWire = ({ json, ...rest }: BodyMessage): WireMessage =>
  json === undefined ? rest : { ...rest, json: JSON.stringify(json) };

export function bodyFromWire(wire: WireBody | null | undefined): EventBody | undefined {
  if (wire === undefined || wire === null) return undefined;
  const { contentType, encoding, bytes, truncated, note } = wire;
  const body: EventBody = { contentType, encoding, bytes, truncated, note };
  if (wire.text !== undefined && wire.text !== null) body.text = wire.text;
  if (wire.data !== undefined && wire.data !== null) body.base64 = Buffer.from(wire.data).toString('base64');
  if (wire.messages !== undefined && wire.messages !== null)
    body.messages = wire.messages.messages.map(messageFromWire);
  return body;
}

function messageFromWire({ type, bytes, truncated, json }: WireMessage): BodyMessage {
  const message: BodyMessage = { type, bytes, truncated };
  if (json !== undefined && json !== null) message.json = JSON.parse(json);
  return message;
}
