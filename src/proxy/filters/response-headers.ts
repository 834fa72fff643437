import type { FilterDef } from '../filter-chain.ts';
import { applyHeaderChanges, compileHeaderChanges } from './header-changes.ts';

/** Changes header fields of the response before it goes to the client. */
export const responseHeaders: FilterDef<'responseHeaders'> = {
  key: 'responseHeaders',
  compile(policy) {
    const changes = compileHeaderChanges(policy);
    if (changes === null) return { request: null, response: null };
    return {
      request: null,
      response: {
        name: 'responseHeaders',
        onResponse(_x, response) {
          applyHeaderChanges(changes, response.headers);
        },
      },
    };
  },
};
