import { type ExplainQuery, NO_QUERY } from '../../model/explanation.ts';
import { fail, ok, type Result } from '../../model/result.ts';
import { parseGrpcCall, parseRequestHeaders, parseRequestLine } from './request-arguments.ts';

/** What the command line of `mesh explain` gives. */
export interface ExplainWords {
  words: readonly string[];
  from?: string;
  to?: string;
  header?: readonly string[];
  grpc?: string;
}

const usage = (message: string, hint: string) => fail({ code: 'MESH-U102', message, hint });
const EXAMPLE = 'for example `mesh explain --from web --to orders GET /x`, or `mesh explain ID`';

/** @returns MESH-U102 for what is neither a request nor an ID */
export function parseExplainQuery({ words, from, to, header = [], grpc }: ExplainWords): Result<ExplainQuery> {
  const described = from !== undefined || to !== undefined || grpc !== undefined || header.length > 0;
  if (!described && (words.length === 0 || words[0] === '')) return usage('nothing to explain', EXAMPLE);
  if (!described && words.length === 1 && !words[0].includes('/')) return ok({ ...NO_QUERY, id: words[0] });
  if (from === undefined)
    return usage('who sends the request is not said', `add --from SERVICE, or --from gateway; ${EXAMPLE}`);
  if (to === undefined && from !== 'gateway')
    return usage('who the request is for is not said', `add --to SERVICE; ${EXAMPLE}`);
  const headers = parseRequestHeaders(header);
  if (!headers.ok) return headers;
  const query: ExplainQuery = { ...NO_QUERY, from, to: to ?? '', headers: headers.value, headersKnown: true };
  if (grpc !== undefined) {
    if (words.length > 0)
      return usage(`\`${words[0]}\` is said beside --grpc, which is method and path`, 'leave one of them out');
    const path = parseGrpcCall(grpc);
    if (!path.ok) return path;
    return ok({ ...query, method: 'POST', path: path.value, headers: [...query.headers, ...GRPC_HEADERS] });
  }
  const line = parseRequestLine(words);
  return line.ok ? ok({ ...query, ...line.value }) : line;
}

const GRPC_HEADERS: readonly [string, string][] = [
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
];
