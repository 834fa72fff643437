import { type KeyObject, randomBytes, sign, type X509Certificate } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import {
  type Asn1,
  bitString,
  boolean,
  content,
  decode,
  dottedOid,
  elements,
  encode,
  integer,
  keyIdentifier,
  octetString,
  oid,
  sequence,
  set,
  tagged,
  taggedBytes,
  time,
  toPem,
  utf8String,
} from './der.ts';

/** Attributes of a name in order; an empty list is the empty name. */
export type DistinguishedName = readonly (readonly ['O' | 'OU' | 'CN', string])[];

export interface SubjectAltNames {
  readonly uris: readonly string[];
  readonly dns: readonly string[];
  readonly ips: readonly string[];
}

export interface CertificateSpec {
  readonly subject: DistinguishedName;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
  /** Milliseconds since 1970, cut to the second. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly names: SubjectAltNames;
  /** `ca` signs certificates, at most `pathLength` CAs below it; the others are ends of a chain. */
  readonly use:
    | { readonly kind: 'ca'; readonly pathLength: number }
    | { readonly kind: 'peer' }
    | { readonly kind: 'server' };
}

/** Who signs: a CA's name as it stands in its certificate, its key identifier and private key. */
export interface Signer {
  readonly name: Asn1;
  readonly keyId: Buffer;
  readonly privateKey: KeyObject;
}

export interface SignedCertificate {
  readonly pem: string;
  /** 40 lowercase hexadecimal digits. */
  readonly serial: string;
}

/** ub-common-name of RFC 5280, appendix A: longer names are refused by some verifiers. */
const MAX_COMMON_NAME = 64;

// Nodes that every certificate shares.
const VERSION_3 = tagged(0, integer(Buffer.from([2])));
const ECDSA_WITH_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));
const ATTRIBUTES = { O: oid('2.5.4.10'), OU: oid('2.5.4.11'), CN: oid('2.5.4.3') } as const;
const SUBJECT_KEY_IDENTIFIER_ID = '2.5.29.14';
const SUBJECT_KEY_IDENTIFIER = oid(SUBJECT_KEY_IDENTIFIER_ID);
const SUBJECT_ALT_NAME = oid('2.5.29.17');
const BASIC_CONSTRAINTS = oid('2.5.29.19');
const AUTHORITY_KEY_IDENTIFIER = oid('2.5.29.35');
const KEY_USAGE = oid('2.5.29.15');
const EXTENDED_KEY_USAGE = oid('2.5.29.37');
const SERVER_AUTH = oid('1.3.6.1.5.5.7.3.1');
const CLIENT_AUTH = oid('1.3.6.1.5.5.7.3.2');
const TRUE = boolean(true);

// DER leaves out what equals its default, so `cA FALSE` is an empty sequence.
const LEAF_CONSTRAINTS = extension(BASIC_CONSTRAINTS, true, sequence());
const LEAF_KEY_USAGE = extension(KEY_USAGE, true, bitString(Buffer.from([0b1000_0000]), 7));
const CA_KEY_USAGE = extension(KEY_USAGE, true, bitString(Buffer.from([0b0000_0110]), 1));
const PEER_EXTENDED_USAGE = extension(EXTENDED_KEY_USAGE, false, sequence(SERVER_AUTH, CLIENT_AUTH));
const SERVER_EXTENDED_USAGE = extension(EXTENDED_KEY_USAGE, false, sequence(SERVER_AUTH));

/**
 * Builds and signs an X.509 v3 certificate (RFC 5280) with ECDSA over SHA-256, as `openssl verify -x509_strict` wants
 * it. A certificate for the signer's own key is a root.
 */
export function signCertificate(spec: CertificateSpec, signer: Signer): SignedCertificate {
  const serial = randomSerial();
  const keyId = keyIdentifier(spec.publicKey);
  const extensions = [...usageExtensions(spec.use), extension(SUBJECT_KEY_IDENTIFIER, false, octetString(keyId))];
  if (!keyId.equals(signer.keyId)) {
    extensions.push(extension(AUTHORITY_KEY_IDENTIFIER, false, sequence(taggedBytes(0, signer.keyId))));
  }
  const names = generalNames(spec.names);
  // RFC 5280, 4.2.1.6: critical where it is all that names the subject.
  if (names.length > 0) extensions.push(extension(SUBJECT_ALT_NAME, spec.subject.length === 0, sequence(...names)));
  const toBeSigned = sequence(
    VERSION_3,
    integer(serial),
    ECDSA_WITH_SHA256,
    signer.name,
    sequence(time(spec.notBefore), time(spec.notAfter)),
    name(spec.subject),
    decode(spec.publicKey),
    tagged(3, sequence(...extensions)),
  );
  const signature = sign('sha256', encode(toBeSigned), signer.privateKey);
  const der = encode(sequence(toBeSigned, ECDSA_WITH_SHA256, bitString(signature)));
  return { pem: toPem('CERTIFICATE', der), serial: serial.toString('hex') };
}

/** The signer that a CA's certificate and key make. The name is taken over as it is encoded: verifiers compare bytes. */
export function signerOf(certificate: X509Certificate, privateKey: KeyObject): Signer {
  const toBeSigned = elements(elements(decode(certificate.raw))[0]);
  const subject = toBeSigned[5]!;
  for (const item of elements(elements(toBeSigned.at(-1))[0])) {
    const parts = elements(item);
    if (dottedOid(parts[0]) === SUBJECT_KEY_IDENTIFIER_ID) {
      return { name: subject, keyId: content(decode(content(parts.at(-1)))), privateKey };
    }
  }
  const publicKey = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return { name: subject, keyId: keyIdentifier(publicKey), privateKey };
}

/** A name's DER form: one attribute per relative name, in UTF-8. */
export function name(dn: DistinguishedName): Asn1 {
  return sequence(
    ...dn.map(([type, value]) =>
      set(sequence(ATTRIBUTES[type], utf8String(type === 'CN' ? cut(value, MAX_COMMON_NAME) : value))),
    ),
  );
}

/** GeneralNames entries (RFC 5280, 4.2.1.6) of URIs, DNS names and IP addresses. */
export function generalNames(names: SubjectAltNames): Asn1[] {
  return [
    ...names.uris.map((uri) => taggedBytes(6, Buffer.from(uri, 'latin1'))),
    ...names.dns.map((host) => taggedBytes(2, Buffer.from(host, 'latin1'))),
    ...names.ips.map((ip) => taggedBytes(7, ipBytes(ip))),
  ];
}

export function extension(id: Asn1, critical: boolean, value: Asn1): Asn1 {
  const body = octetString(encode(value));
  return critical ? sequence(id, TRUE, body) : sequence(id, body);
}

/** The 4 or 16 bytes of an address. Throws where it is none: addresses are validated before. */
export function ipBytes(ip: string): Buffer {
  if (isIPv4(ip)) return Buffer.from(ip.split('.').map(Number));
  if (!isIPv6(ip)) throw new Error(`not an IP address: ${ip}`);
  // The URL parser normalises every way of writing one, the embedded IPv4 form included.
  const [head, tail] = new URL(`http://[${ip.split('%')[0]}]`).hostname.slice(1, -1).split('::') as [string, string?];
  const groups = (part: string | undefined): number[] =>
    part === undefined || part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const left = groups(head);
  const right = groups(tail);
  const bytes = Buffer.alloc(16);
  left.forEach((group, i) => {
    bytes.writeUInt16BE(group, i * 2);
  });
  right.forEach((group, i) => {
    bytes.writeUInt16BE(group, 16 - (right.length - i) * 2);
  });
  return bytes;
}

function usageExtensions(use: CertificateSpec['use']): Asn1[] {
  switch (use.kind) {
    case 'ca':
      return [extension(BASIC_CONSTRAINTS, true, sequence(TRUE, integer(Buffer.from([use.pathLength])))), CA_KEY_USAGE];
    case 'peer':
      return [LEAF_CONSTRAINTS, LEAF_KEY_USAGE, PEER_EXTENDED_USAGE];
    case 'server':
      return [LEAF_CONSTRAINTS, LEAF_KEY_USAGE, SERVER_EXTENDED_USAGE];
  }
}

/** 20 random bytes, the most RFC 5280 (4.1.2.2) allows, with the top bits 01: positive and never shorter. */
function randomSerial(): Buffer {
  const serial = randomBytes(20);
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  return serial;
}

function cut(text: string, characters: number): string {
  const all = [...text];
  return all.length <= characters ? text : all.slice(0, characters).join('');
}
