import type { HeaderChangesConfig } from '../config.ts';
import { closed, dictionary, list, optional } from '../schema-parts.ts';
import { changeableHeader, headerValue } from '../schema-texts.ts';

const fields = dictionary('headers with their values', changeableHeader, headerValue);

export const headerChanges = closed<HeaderChangesConfig>('header changes', {
  set: optional(fields),
  add: optional(fields),
  remove: optional(list('header names', changeableHeader)),
});
