import type { FiltersConfig } from '../config.ts';
import { closed, optional } from '../schema-parts.ts';
import { headerChanges } from './header-changes.ts';
import { redirect } from './redirect.ts';
import { rewrite } from './rewrite.ts';

/** One line for each filter. */
export const filters = closed<FiltersConfig>('filters', {
  requestHeaders: optional(headerChanges),
  responseHeaders: optional(headerChanges),
  rewrite: optional(rewrite),
  redirect: optional(redirect),
});
