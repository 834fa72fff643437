import { CONTINUE, type FilterDef } from '../filter-chain.ts';
import { compilePathRewrite, rewritePath } from './path-rewrite.ts';

/** Changes the path and the authority of the request before it goes upstream (Gateway API, URLRewrite). */
export const rewrite: FilterDef<'rewrite'> = {
  key: 'rewrite',
  compile(policy) {
    const path = policy.path === null ? null : compilePathRewrite(policy.path);
    const host = policy.host;
    if (path === null && host === null) return { request: null, response: null };
    return {
      request: {
        name: 'rewrite',
        onRequest(x) {
          if (path !== null) x.request.path = rewritePath(path, x);
          if (host !== null) x.request.authority = host;
          return CONTINUE;
        },
      },
      response: null,
    };
  },
};
