/** Requests as they are written on the command line, for `mesh explain` and `mesh request`. */
import { fail, ok, type Result } from '../../model/result.ts';
import { plain } from '../telemetry/event-text.ts';

const usage = (message: string, hint: string) => fail({ code: 'MESH-U102', message, hint });

const cut = (text: string): string => plain(text.length > 80 ? `${text.slice(0, 80)}...` : text);

/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const METHODS: ReadonlySet<string> = new Set([
  ...['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'TRACE'],
]);

/** Methods are case-sensitive, and nobody means another one than GET by `get`. */
export function parseMethod(text: string): Result<string> {
  const upper = text.toUpperCase();
  if (METHODS.has(upper)) return ok(upper);
  return TOKEN.test(text)
    ? ok(text)
    : usage(`\`${cut(text)}\` is no request method`, 'such as GET, POST, PUT, PATCH, DELETE');
}

/** A path with its query, as it goes on the wire: characters that have no place there have to be escaped. */
export function parseRequestPath(text: string): Result<string> {
  if (text === '*') return ok(text);
  if (URL.canParse(text) && /^https?:/i.test(text)) {
    const { pathname, search } = new URL(text);
    return usage(
      `\`${cut(text)}\` is a URL, not a path`,
      `the service is named apart; did you mean \`${cut(pathname + search)}\`?`,
    );
  }
  if (!text.startsWith('/'))
    return usage(`\`${cut(text)}\` is no path`, `a path begins with /: did you mean \`/${cut(text)}\`?`);
  if (text.includes('#'))
    return usage(
      `\`${cut(text)}\` has a fragment, which is never sent`,
      'leave out the # and what follows it, or write %23',
    );
  if (!/^[\u0021-\u007e]*$/.test(text)) {
    // Through bytes, because what is no Unicode cannot be escaped.
    const escaped = encodeURI(Buffer.from(text, 'utf8').toString('utf8')).replaceAll('%25', '%');
    return usage(`\`${cut(text)}\` has characters that a path cannot have`, `escape them: \`${cut(escaped)}\``);
  }
  return ok(text);
}

/** `[METHOD] PATH`, both optional. Empty: not given. */
export function parseRequestLine(words: readonly string[]): Result<{ method: string; path: string }> {
  const [first, second, ...more] = words;
  if (more.length > 0) return usage(`\`${cut(more[0])}\` is one word too many`, 'say METHOD and PATH, or PATH alone');
  if (first === undefined) return ok({ method: '', path: '' });
  if (second === undefined && (first.startsWith('/') || first === '*' || first.includes('/'))) {
    const path = parseRequestPath(first);
    return path.ok ? ok({ method: '', path: path.value }) : path;
  }
  const method = parseMethod(first);
  if (!method.ok) return method;
  if (second === undefined) return ok({ method: method.value, path: '' });
  const path = parseRequestPath(second);
  return path.ok ? ok({ method: method.value, path: path.value }) : path;
}

/** `name: value`, as curl writes them. */
export function parseRequestHeaders(texts: readonly string[]): Result<[string, string][]> {
  const headers: [string, string][] = [];
  for (const text of texts) {
    const colon = text.indexOf(':');
    const name = colon < 0 ? text : text.slice(0, colon).trim();
    if (colon < 0) return usage(`\`${cut(text)}\` is no header`, "write -H 'name: value'");
    if (!TOKEN.test(name))
      return usage(`\`${cut(name)}\` is no header name`, "letters, digits and hyphens: -H 'x-user: ann'");
    const value = text.slice(colon + 1).trim();
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value))
      return usage(
        `the value of header ${name} has a control character`,
        'line breaks and the like cannot be sent in a header',
      );
    headers.push([name, value]);
  }
  return ok(headers);
}

/** The path of a gRPC call: `pkg.Service/Method`, with or without a slash in front. */
export function parseGrpcCall(text: string): Result<string> {
  const match = /^\/?([A-Za-z_][\w.]*)\/([A-Za-z_]\w*)$/.exec(text);
  if (match !== null) return ok(`/${match[1]}/${match[2]}`);
  return usage(
    `\`${cut(text)}\` is no gRPC method`,
    'say --grpc package.Service/Method, for example shop.v1.Orders/Get',
  );
}
