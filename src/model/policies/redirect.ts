import type { FiltersConfig } from '../config.ts';
import { closed, oneOf, oneOfNumbers, optional, port } from '../schema-parts.ts';
import { host } from '../schema-texts.ts';
import { pathRewrite } from './path-rewrite.ts';

export const redirect = closed<NonNullable<FiltersConfig['redirect']>>('redirect', {
  scheme: optional(oneOf({ http: true, https: true })),
  host: optional(host),
  port: optional(port),
  path: optional(pathRewrite),
  status: optional(oneOfNumbers([301, 302, 303, 307, 308])),
});
