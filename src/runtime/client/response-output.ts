import type { Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type { Explanation } from '../../model/explanation.ts';
import { meaningOfFlag } from '../../model/response-flag-meanings.ts';
import { plain } from '../telemetry/event-text.ts';
import type { ServiceRequest } from './request.ts';
import type { IncomingResponse } from './send-request.ts';

/** Kept of a body for --json; more is cut off. */
const MOST_JSON_BYTES = 16 * 1024 * 1024;
/** Header in which a proxy says why it answered itself. */
const FLAGS_HEADER = 'x-mesh-response-flags';

/** Head, body and trailers as they come. A terminal gets the body without what it would obey; a file gets its bytes. */
export async function writeResponse(
  response: IncomingResponse,
  output: Writable & { isTTY?: boolean },
  { head }: { head: boolean },
): Promise<void> {
  if (head) output.write(headText(response));
  const terminal = output.isTTY === true ? new StringDecoder('utf8') : null;
  for await (const chunk of response.body) {
    const accepted = output.write(terminal === null ? chunk : terminalText(terminal.write(chunk)));
    if (!accepted && !output.destroyed) await drained(output);
  }
  if (terminal !== null) output.write(terminalText(terminal.end()));
  const trailers = response.trailers();
  if (head && trailers.length > 0) output.write(`\n${fields(trailers)}`);
}

/** Resolves also where the reader is gone, so that `| head` ends the command. */
const drained = (output: Writable): Promise<void> =>
  new Promise((resolve) => {
    output.once('drain', resolve);
    output.once('close', resolve);
    output.once('error', () => resolve());
  });

function headText({ status, reason, headers }: IncomingResponse): string {
  return `HTTP/1.1 ${status} ${plain(reason)}\n${fields(headers)}\n`;
}

const fields = (pairs: readonly [string, string][]): string =>
  pairs.map(([name, value]) => `${plain(name)}: ${plain(value)}\n`).join('');

/** Text of somebody else with its lines and tabs, and no other control character. */
export function terminalText(text: string): string {
  return text
    .split(/(\r?\n|\t)/)
    .map((part, at) => (at % 2 === 1 ? part : plain(part)))
    .join('');
}

/** What a proxy of the mesh says about an answer of its own; empty where the application answered. */
export function proxyRemark({ headers }: IncomingResponse): string {
  const flag = headers.find(([name]) => name.toLowerCase() === FLAGS_HEADER)?.[1];
  return flag === undefined
    ? ''
    : `answered by a proxy, not by the application: ${plain(flag)}, ${plain(meaningOfFlag(flag))}`;
}

/** Everything for `--json`. */
export async function responseDocument(
  sent: ServiceRequest,
  response: IncomingResponse,
  explanation: () => Promise<Explanation | null>,
) {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let kept = 0;
  for await (const chunk of response.body) {
    bytes += chunk.length;
    if (kept >= MOST_JSON_BYTES) continue;
    const part = chunk.subarray(0, MOST_JSON_BYTES - kept);
    chunks.push(part);
    kept += part.length;
  }
  const body = Buffer.concat(chunks);
  const text = body.toString('utf8');
  const isText = Buffer.from(text, 'utf8').equals(body);
  const said = await explanation();
  return {
    from: sent.from.id,
    to: sent.to,
    method: sent.method,
    path: sent.path,
    status: response.status,
    headers: response.headers,
    body: isText ? text : body.toString('base64'),
    bodyEncoding: isText ? 'utf8' : 'base64',
    bodyBytes: bytes,
    truncated: bytes > kept,
    trailers: response.trailers(),
    headAfterMs: Math.round(response.headAfterMs * 1_000) / 1_000,
    ...(said === null ? {} : { explanation: said }),
  };
}
