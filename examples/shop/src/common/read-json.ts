import type { IncomingMessage } from 'node:http';
import { fail, ok, type Result } from './result.ts';

const maxBytes = 64 * 1024;

export interface BodyProblem {
  status: number;
  title: string;
  detail: string;
}

export async function readJson(message: IncomingMessage): Promise<Result<unknown, BodyProblem>> {
  if (!/^application\/json\b/i.test(message.headers['content-type'] ?? '')) {
    return fail({ status: 415, title: 'Unsupported media type', detail: 'Send the body as application/json.' });
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    // Beyond the limit it is read but not kept: leaving it unread would cost the caller the answer.
    if (bytes <= maxBytes) chunks.push(chunk);
  }
  if (bytes > maxBytes) {
    return fail({ status: 413, title: 'Content too large', detail: `At most ${maxBytes} bytes are taken.` });
  }
  try {
    return ok(JSON.parse(Buffer.concat(chunks).toString()));
  } catch (error) {
    return fail({ status: 400, title: 'Not JSON', detail: (error as Error).message });
  }
}
