import { createHash, X509Certificate } from 'node:crypto';
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import { parseSpiffeId } from '../model/spiffe.ts';

/** Why a peer is refused; also the label under which refusals are counted. */
export const REFUSAL_REASONS = [
  'no-certificate',
  'expired',
  'not-yet-valid',
  'self-signed',
  'unknown-authority',
  'invalid-certificate',
  'no-spiffe-id',
  'several-spiffe-ids',
  'invalid-spiffe-id',
  'wrong-trust-domain',
  'wrong-spiffe-id',
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

export type PeerIdentity =
  | { readonly ok: true; readonly spiffeId: string }
  | { readonly ok: false; readonly reason: RefusalReason; readonly message: string };

/** What a proxy shows to its peers. */
export interface PresentedIdentity {
  /** Leaf, then intermediate, PEM. */
  readonly certificate: string;
  readonly privateKey: string;
}

/**
 * Context of both ends of a link. The anchors are the mesh's own authority, not the user's root under which every other
 * mesh of that user hangs too. The sockets on top of it take `requestCert: true` (server), `rejectUnauthorized: false`
 * (true would end the connection without saying why) and `checkServerIdentity: () => undefined` (client), and must then
 * ask `checkClientIdentity` or `checkServerIdentity` below.
 */
export function linkContextOptions(identity: PresentedIdentity, trustAnchors: readonly string[]): SecureContextOptions {
  return {
    cert: identity.certificate,
    key: identity.privateKey,
    ca: [...trustAnchors],
    minVersion: 'TLSv1.2',
  };
}

/** Who called: for a server, after the handshake. */
export function checkClientIdentity(socket: TLSSocket, trustDomain: string, nowMs: number = Date.now()): PeerIdentity {
  return peerIdentity(socket.getPeerX509Certificate(), verificationError(socket), trustDomain, nowMs);
}

/**
 * Whether the workload that was meant answered: for a client, after the handshake. A client must not pass `session`:
 * Node does not know the server's certificate in a resumed session, so that this refuses it.
 */
export function checkServerIdentity(
  socket: TLSSocket,
  trustDomain: string,
  expectedSpiffeId: string,
  nowMs: number = Date.now(),
): PeerIdentity {
  return checkServerId(checkClientIdentity(socket, trustDomain, nowMs), expectedSpiffeId);
}

/** Narrows a verified identity to the one that was meant. */
export function checkServerId(peer: PeerIdentity, expectedSpiffeId: string): PeerIdentity {
  if (!peer.ok || peer.spiffeId === expectedSpiffeId) return peer;
  return refuse('wrong-spiffe-id', `the peer is ${peer.spiffeId}, not ${expectedSpiffeId}`);
}

/**
 * The SPIFFE ID of a peer by its certificate (X.509-SVID, section 5), or why it has none to be believed.
 *
 * `authorizationError` is what the TLS library found when it verified the chain. It cannot be relied upon alone: in a
 * resumed session it is that of the first handshake, and a resumed session without a certificate counts as verified.
 * Therefore a missing certificate is refused whatever it says, and the dates are looked at again.
 */
export function peerIdentity(
  certificate: X509Certificate | Buffer | undefined,
  authorizationError: string | undefined,
  trustDomain: string,
  nowMs: number,
): PeerIdentity {
  if (certificate === undefined) return refuse('no-certificate', 'the peer presented no certificate');
  let peer: X509Certificate;
  try {
    peer = certificate instanceof X509Certificate ? certificate : new X509Certificate(certificate);
  } catch {
    return refuse('invalid-certificate', 'the peer presented something that is not a certificate');
  }
  const id = spiffeIdOf(peer);
  const who = id.ok ? id.spiffeId : 'the peer';
  if (nowMs >= Date.parse(peer.validTo)) {
    return refuse('expired', `the certificate of ${who} expired on ${peer.validTo}`);
  }
  if (nowMs < Date.parse(peer.validFrom)) {
    return refuse('not-yet-valid', `the certificate of ${who} is not valid before ${peer.validFrom}`);
  }
  if (authorizationError !== undefined) return unverified(authorizationError, peer, id, who, trustDomain);
  if (peer.ca) return refuse('invalid-certificate', `${who} presented the certificate of an authority as its own`);
  if (!id.ok) return id;
  if (id.trustDomain !== trustDomain) {
    return refuse('wrong-trust-domain', `the peer is ${id.spiffeId}, outside the trust domain ${trustDomain}`);
  }
  return { ok: true, spiffeId: id.spiffeId };
}

/** An element of `x-forwarded-client-cert` in Envoy's form: `By=<own ID>;Hash=<certificate>;URI=<caller's ID>`. */
export function formatXfcc(element: { by: string; hash: string; uri: string }): string {
  return `By=${quoted(element.by)};Hash=${element.hash};URI=${quoted(element.uri)}`;
}

/** SHA-256 over the certificate's DER in lowercase hexadecimal: the `Hash` of an XFCC element. */
export function certificateHash(certificate: X509Certificate): string {
  return createHash('sha256').update(certificate.raw).digest('hex');
}

type ClaimedId =
  | { readonly ok: true; readonly spiffeId: string; readonly trustDomain: string }
  | { readonly ok: false; readonly reason: RefusalReason; readonly message: string };

function spiffeIdOf(certificate: X509Certificate): ClaimedId {
  const uris = uriNames(certificate.subjectAltName);
  if (uris.length === 0) return refuse('no-spiffe-id', 'the certificate of the peer names no URI');
  if (uris.length > 1) {
    return refuse('several-spiffe-ids', `the certificate of the peer names ${uris.length} URIs; an SVID has one`);
  }
  const parsed = parseSpiffeId(uris[0]!);
  if (!parsed.ok) return refuse('invalid-spiffe-id', parsed.problems[0]!.message);
  if (parsed.value.path === '') {
    return refuse('invalid-spiffe-id', `SPIFFE ID ${uris[0]} is that of a trust domain, not of a workload`);
  }
  return { ok: true, spiffeId: uris[0]!, trustDomain: parsed.value.trustDomain };
}

/** Names OpenSSL's verdict. Dates were looked at before: an expiry that is left is that of an authority above. */
function unverified(
  error: string,
  peer: X509Certificate,
  id: ClaimedId,
  who: string,
  trustDomain: string,
): PeerIdentity {
  switch (error) {
    case 'CERT_HAS_EXPIRED':
      return refuse('expired', `an authority in the chain of ${who} has expired`);
    case 'CERT_NOT_YET_VALID':
      return refuse('not-yet-valid', `an authority in the chain of ${who} is not valid yet`);
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return refuse('self-signed', `the certificate of ${who} is self-signed`);
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE': {
      const issuer = peer.issuer === undefined ? 'an authority without a name' : peer.issuer.replaceAll('\n', ', ');
      // Both are true of a peer from another mesh; this one tells the user what happened.
      if (id.ok && id.trustDomain !== trustDomain) {
        return refuse('wrong-trust-domain', `the peer is ${who} by ${issuer}, outside the trust domain ${trustDomain}`);
      }
      return refuse(
        'unknown-authority',
        `the certificate of ${who} is by ${issuer}, not by the authority of this mesh`,
      );
    }
    default:
      return refuse('invalid-certificate', `the certificate of ${who} was refused: ${error}`);
  }
}

/**
 * The URIs in the text that Node makes of a subjectAltName: `URI:spiffe://..., DNS:..., IP Address:...`. A value with
 * characters that could be taken for structure is a JSON string in quotes there (CVE-2021-44532); such a URI is counted
 * in that form, and no SPIFFE ID needs it.
 */
function uriNames(subjectAltName: string | undefined): string[] {
  const uris: string[] = [];
  if (subjectAltName === undefined) return uris;
  let at = 0;
  while (at < subjectAltName.length) {
    const colon = subjectAltName.indexOf(':', at);
    if (colon < 0) break;
    const quotedValue = subjectAltName.charCodeAt(colon + 1) === QUOTE;
    const end = quotedValue ? afterQuoted(subjectAltName, colon + 1) : subjectAltName.indexOf(', ', colon);
    const stop = end < 0 ? subjectAltName.length : end;
    if (colon - at === 3 && subjectAltName.startsWith('URI', at)) uris.push(subjectAltName.slice(colon + 1, stop));
    at = stop + 2;
  }
  return uris;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Index after the JSON string that begins at `start`. */
function afterQuoted(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === BACKSLASH) i++;
    else if (code === QUOTE) return i + 1;
  }
  return text.length;
}

/**
 * What the TLS library found, or undefined if it was content. Node types the error as an Error, while it is a code. A
 * socket that is neither authorized nor has an error was never verified (a TLSSocket on the server side that belongs
 * to no tls.Server): that must not pass for content.
 */
function verificationError(socket: TLSSocket): string | undefined {
  if (socket.authorized) return undefined;
  const error = socket.authorizationError as unknown;
  if (error === null || error === undefined) return 'NOT_VERIFIED';
  return typeof error === 'string' ? error : ((error as NodeJS.ErrnoException).code ?? String(error));
}

/** Envoy quotes values with the characters that separate. */
function quoted(value: string): string {
  return /[,;="]/.test(value) ? `"${value.replaceAll('"', '\\"')}"` : value;
}

function refuse(
  reason: RefusalReason,
  message: string,
): { readonly ok: false; readonly reason: RefusalReason; readonly message: string } {
  return { ok: false, reason, message };
}
