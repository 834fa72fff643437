import { isValidAuthority, isValidConnectTarget } from './characters.ts';

/** The four forms of a request target, RFC 9112 section 3.2. */
export type TargetForm = 'origin' | 'absolute' | 'authority' | 'asterisk';

/** What a request target says about its request. */
export interface TargetParts {
  form: TargetForm;
  scheme: string;
  authority: string;
  path: string;
}

/**
 * Splits a request target; false if it is not valid for the method. The path stays as it was sent: normalising it
 * is for whoever compares it. `text` is known to hold nothing but VCHAR and no `#`.
 */
export function parseTarget(method: string, text: string, into: TargetParts): boolean {
  if (method === 'CONNECT') {
    into.form = 'authority';
    into.authority = text;
    into.path = '';
    return isValidConnectTarget(text);
  }
  if (text.charCodeAt(0) === 0x2f) {
    into.form = 'origin';
    into.path = text;
    return true;
  }
  if (text === '*') {
    into.form = 'asterisk';
    into.path = '*';
    return method === 'OPTIONS';
  }
  return parseAbsoluteForm(method, text, into);
}

/** RFC 9112 section 3.2.2; only http and https URIs (RFC 9110 section 4.2) can be proxied. */
function parseAbsoluteForm(method: string, text: string, into: TargetParts): boolean {
  const colon = text.indexOf('://');
  const scheme = colon < 0 ? '' : text.slice(0, colon).toLowerCase();
  if (scheme !== 'http' && scheme !== 'https') return false;
  const start = colon + 3;
  let end = start;
  while (end < text.length) {
    const c = text.charCodeAt(end);
    if (c === 0x2f || c === 0x3f) break;
    end++;
  }
  into.form = 'absolute';
  into.scheme = scheme;
  into.authority = text.slice(start, end);
  const rest = text.slice(end);
  // "OPTIONS http://host" asks about the server as a whole: the last proxy sends "*" (RFC 9112 section 3.2.4).
  if (rest === '') into.path = method === 'OPTIONS' ? '*' : '/';
  else into.path = rest.charCodeAt(0) === 0x2f ? rest : `/${rest}`;
  return isValidAuthority(into.authority);
}
