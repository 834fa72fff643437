/**
 * Header and trailer fields as a flat list: name, value, name, value, ...
 * Names are lowercase; values hold one byte a character (latin1) and never CR, LF or NUL.
 * A flat list of strings is what both codecs read and write, so a message crosses from HTTP/1.1 to
 * HTTP/2 and back without being rebuilt.
 */
export type Headers = string[];

/**
 * The head of a request, free of its wire format (RFC 9110 section 6.1).
 * Hop-by-hop fields (RFC 9110 section 7.6.1) are gone from `headers`, and so is `host`: it is `authority`.
 */
export interface RequestHead {
  method: string;
  /** `http` or `https` where the message said so (HTTP/2, absolute-form), else empty. */
  scheme: string;
  /** Host and optional port as sent: `:authority`, the absolute-form's authority, or Host. CONNECT: its target. */
  authority: string;
  /** Path and query in origin-form, `*` for OPTIONS *, empty for CONNECT without a protocol. */
  path: string;
  /** The protocol asked for: HTTP/1.1 Upgrade token (lowercase) or the `:protocol` of an extended CONNECT (RFC 8441), else null. */
  protocol: string | null;
  headers: Headers;
  /** Body length in bytes as declared; 0 when there is no body, -1 when only its end will tell. */
  contentLength: number;
  /** Whether the client waits for 100 (Continue) before it sends the body. */
  expectContinue: boolean;
}

/** The head of a response; informational ones (1xx) use it too. */
export interface ResponseHead {
  status: number;
  headers: Headers;
  /** As in RequestHead. */
  contentLength: number;
}

/** Value of the first field of that (lowercase) name, or undefined. */
export function header(headers: Headers, name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1];
  return undefined;
}

/** Replaces every field of that name by one; appends it where there was none. */
export function setHeader(headers: Headers, name: string, value: string): void {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) continue;
    headers[i + 1] = value;
    for (let j = headers.length - 2; j > i; j -= 2) if (headers[j] === name) headers.splice(j, 2);
    return;
  }
  headers.push(name, value);
}

/** Removes every field of that name; says whether there was one. */
export function deleteHeader(headers: Headers, name: string): boolean {
  let at = 0;
  while (at < headers.length && headers[at] !== name) at += 2;
  if (at >= headers.length) return false;
  let kept = at;
  for (let i = at + 2; i < headers.length; i += 2) {
    if (headers[i] === name) continue;
    headers[kept++] = headers[i];
    headers[kept++] = headers[i + 1];
  }
  // Setting the length of an array costs a call into the runtime.
  while (headers.length > kept) headers.pop();
  return true;
}
