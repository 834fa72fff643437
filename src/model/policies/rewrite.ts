import type { FiltersConfig } from '../config.ts';
import { closed, optional } from '../schema-parts.ts';
import { authority } from '../schema-texts.ts';
import { pathRewrite } from './path-rewrite.ts';

export const rewrite = closed<NonNullable<FiltersConfig['rewrite']>>('rewrite', {
  path: optional(pathRewrite),
  host: optional(authority),
});
