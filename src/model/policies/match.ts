import type { MatchConfig, ValueMatchConfig } from '../config.ts';
import { closed, dictionary, either, exactlyOne, flag, oneOrMore, optional } from '../schema-parts.ts';
import {
  grpcMethod,
  grpcService,
  headerName,
  headerValue,
  method,
  plainText,
  queryName,
  regex,
  urlPath,
} from '../schema-texts.ts';

const valueKinds = exactlyOne<Exclude<ValueMatchConfig, string>>('a match of a value', {
  prefix: plainText,
  regex: regex(true),
  present: flag,
});

const headerMatch = either<ValueMatchConfig>((input) =>
  typeof input === 'object' && input !== null ? valueKinds : headerValue,
);

const queryMatch = either<ValueMatchConfig>((input) =>
  typeof input === 'object' && input !== null ? valueKinds : plainText,
);

export const match = closed<MatchConfig>('a match', {
  path: optional(
    exactlyOne<NonNullable<MatchConfig['path']>>('path', { exact: urlPath, prefix: urlPath, regex: regex(true) }),
  ),
  method: optional(oneOrMore('methods', method)),
  headers: optional(dictionary('headers with what they must be', headerName, headerMatch)),
  query: optional(dictionary('query parameters with what they must be', queryName, queryMatch)),
  grpc: optional(
    closed<NonNullable<MatchConfig['grpc']>>('grpc', {
      service: optional(grpcService),
      method: optional(grpcMethod),
    }),
  ),
});
