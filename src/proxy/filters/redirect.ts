import { hostOf, portOf } from '../authority.ts';
import { type FilterContext, type FilterDef, RESPOND } from '../filter-chain.ts';
import { type CompiledPathRewrite, compilePathRewrite, rewritePath } from './path-rewrite.ts';

const DEFAULT_PORT = { http: 80, https: 443 } as const;

interface Target {
  readonly scheme: 'http' | 'https' | null;
  readonly host: string | null;
  readonly port: number | null;
  readonly path: CompiledPathRewrite | null;
}

/** Answers with a redirection (Gateway API, RequestRedirect). */
export const redirect: FilterDef<'redirect'> = {
  key: 'redirect',
  compile(policy) {
    const path = policy.path === null ? null : compilePathRewrite(policy.path);
    const target: Target = { scheme: policy.scheme, host: policy.host, port: policy.port, path };
    const status = policy.status;
    return {
      request: {
        name: 'redirect',
        onRequest(x) {
          const location = locationOf(target, x);
          x.reply = {
            status,
            headers: ['location', location, 'content-type', 'text/plain; charset=utf-8'],
            body: `Redirecting to ${location}\n`,
          };
          return RESPOND;
        },
      },
      response: null,
    };
  },
};

/**
 * Port rules of the Gateway API: the configured port; else, if the scheme is configured, its well-known port; else the
 * port that the client used. A port that is the scheme's default is left out.
 */
function locationOf(target: Target, x: FilterContext): string {
  const authority = x.request.authority;
  const path = target.path === null ? x.request.path : rewritePath(target.path, x);
  // `*` (OPTIONS *) and the empty target have no place in a URL's path.
  const rooted = path.charCodeAt(0) === 0x2f ? path : '/';
  const host = target.host ?? hostOf(authority);
  // HTTP/1.0 knows requests without Host: a relative reference is all that can be said. A second slash at its
  // beginning would make a host of the path.
  if (host === '') return rooted.replace(/^\/+/, '/');
  const scheme = target.scheme ?? x.scheme;
  const port = target.port ?? (target.scheme === null ? portOf(authority) : 0);
  const shown = port === 0 || port === DEFAULT_PORT[scheme] ? '' : `:${port}`;
  return `${scheme}://${host}${shown}${rooted}`;
}
