import { CONTINUE, type FilterDef } from '../filter-chain.ts';
import { applyHeaderChanges, compileHeaderChanges } from './header-changes.ts';

/** Changes header fields of the request before it goes upstream. */
export const requestHeaders: FilterDef<'requestHeaders'> = {
  key: 'requestHeaders',
  compile(policy) {
    const changes = compileHeaderChanges(policy);
    if (changes === null) return { request: null, response: null };
    return {
      request: {
        name: 'requestHeaders',
        onRequest(x) {
          applyHeaderChanges(changes, x.request.headers);
          return CONTINUE;
        },
      },
      response: null,
    };
  },
};
