import type { TapFilter } from './events.ts';
import { suggest } from './nearest.ts';
import { fail, ok, type Result } from './result.ts';

/** Headers whose values no tap, log or trace ever shows. */
export const REDACTED_HEADERS: readonly string[] = [
  'authorization',
  'cookie',
  'proxy-authorization',
  'set-cookie',
  'x-api-key',
];
/** Shown in place of such a value. */
export const REDACTED = '[redacted]';

export const PROTOCOLS = ['http', 'http2', 'grpc', 'tcp'] as const;

/** First and last status of `5xx` or `404`; null if it is neither. */
export function statusRange(pattern: string): readonly [number, number] | null {
  if (/^[1-5]xx$/i.test(pattern)) {
    const first = Number(pattern[0]) * 100;
    return [first, first + 99];
  }
  if (!/^[1-5]\d\d$/.test(pattern)) return null;
  return [Number(pattern), Number(pattern)];
}

/** What a person typed: `k=v` or `k`, whose value is then any. */
export function parseHeaderFilter(text: string): [string, string] {
  const equals = text.indexOf('=');
  return equals < 0 ? [text.toLowerCase(), ''] : [text.slice(0, equals).toLowerCase(), text.slice(equals + 1)];
}

/** @returns MESH-U102 with what is allowed for the first field that no request could ever have. */
export function checkTapFilter(filter: TapFilter): Result<TapFilter> {
  const refuse = (message: string, hint: string) => fail({ code: 'MESH-U102', message, hint });
  if (filter.status !== '' && statusRange(filter.status) === null) {
    return refuse(
      `\`${filter.status}\` is no status to look for`,
      'a class 1xx, 2xx, 3xx, 4xx, 5xx, or a status such as 404',
    );
  }
  if (filter.protocol !== '' && !(PROTOCOLS as readonly string[]).includes(filter.protocol)) {
    return refuse(`\`${filter.protocol}\` is no protocol of the mesh`, suggest(filter.protocol, PROTOCOLS, ''));
  }
  if (filter.path !== '' && !filter.path.startsWith('/')) {
    return refuse(
      `\`${filter.path}\` is no prefix of a path`,
      `a path begins with /: did you mean \`/${filter.path}\`?`,
    );
  }
  if (filter.method !== '' && !TOKEN.test(filter.method)) {
    return refuse(`\`${filter.method}\` is no request method`, 'such as GET, POST, PUT, PATCH, DELETE');
  }
  for (const name of [...filter.headers.map(([key]) => key), ...filter.showHeaders]) {
    if (!TOKEN.test(name))
      return refuse(`\`${name}\` is no header name`, 'such as content-type; a value follows after =');
  }
  if (!(filter.maxPerSecond >= 0)) return refuse('the limit of requests a second is no number', '0 is no limit');
  return ok(filter);
}

/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
