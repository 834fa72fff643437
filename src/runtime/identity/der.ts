import { createHash } from 'node:crypto';
import asn1 from 'node-forge/lib/asn1.js';

/** A node of an ASN.1 tree. Nodes may be shared between trees: nothing here changes one. */
export type Asn1 = ReturnType<typeof asn1.create>;

const { Class, Type } = asn1;

/** From this year on RFC 5280 (4.1.2.5) wants GeneralizedTime; before, UTCTime. */
const FIRST_GENERALIZED_YEAR = 2050;

export const sequence = (...items: Asn1[]): Asn1 => asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, items);
export const set = (...items: Asn1[]): Asn1 => asn1.create(Class.UNIVERSAL, Type.SET, true, items);
export const oid = (dotted: string): Asn1 =>
  asn1.create(Class.UNIVERSAL, Type.OID, false, asn1.oidToDer(dotted).getBytes());
export const boolean = (value: boolean): Asn1 =>
  asn1.create(Class.UNIVERSAL, Type.BOOLEAN, false, value ? '\xff' : '\x00');
/** An INTEGER from its big-endian two's-complement bytes. */
export const integer = (bytes: Buffer): Asn1 =>
  asn1.create(Class.UNIVERSAL, Type.INTEGER, false, bytes.toString('latin1'));
export const octetString = (bytes: Buffer): Asn1 =>
  asn1.create(Class.UNIVERSAL, Type.OCTETSTRING, false, bytes.toString('latin1'));
/** A BIT STRING; `unusedBits` counts those at the end of the last byte. */
export const bitString = (bytes: Buffer, unusedBits = 0): Asn1 =>
  asn1.create(Class.UNIVERSAL, Type.BITSTRING, false, String.fromCharCode(unusedBits) + bytes.toString('latin1'));
export const utf8String = (text: string): Asn1 =>
  asn1.create(Class.UNIVERSAL, Type.UTF8, false, Buffer.from(text, 'utf8').toString('latin1'));
/** A context-specific tag around other nodes: `[tag] EXPLICIT`, or `[tag] IMPLICIT` of a constructed type. */
export const tagged = (tag: number, ...items: Asn1[]): Asn1 => asn1.create(Class.CONTEXT_SPECIFIC, tag, true, items);
/** `[tag] IMPLICIT` of a primitive type. */
export const taggedBytes = (tag: number, bytes: Buffer): Asn1 =>
  asn1.create(Class.CONTEXT_SPECIFIC, tag, false, bytes.toString('latin1'));

/** A Time, cut to the second. `atMs` in milliseconds since 1970. */
export function time(atMs: number): Asn1 {
  const date = new Date(atMs);
  return date.getUTCFullYear() < FIRST_GENERALIZED_YEAR
    ? asn1.create(Class.UNIVERSAL, Type.UTCTIME, false, asn1.dateToUtcTime(date))
    : asn1.create(Class.UNIVERSAL, Type.GENERALIZEDTIME, false, asn1.dateToGeneralizedTime(date));
}

export function encode(node: Asn1): Buffer {
  return Buffer.from(asn1.toDer(node).getBytes(), 'latin1');
}

/** Throws on malformed input. Bit strings stay bytes: a public key that happens to look like ASN.1 must not be parsed. */
export function decode(der: Buffer): Asn1 {
  return asn1.fromDer(der.toString('latin1'), { strict: true, decodeBitStrings: false });
}

/** The elements of a constructed node; throws where it is a primitive one. */
export function elements(node: Asn1 | undefined): readonly Asn1[] {
  if (node === undefined || typeof node.value === 'string') throw new Error('expected a constructed ASN.1 element');
  return node.value;
}

/** The content bytes of a primitive node; throws where it is a constructed one. */
export function content(node: Asn1 | undefined): Buffer {
  if (node === undefined || typeof node.value !== 'string') throw new Error('expected a primitive ASN.1 element');
  return Buffer.from(node.value, 'latin1');
}

/** The dotted form of an OBJECT IDENTIFIER. */
export function dottedOid(node: Asn1 | undefined): string {
  if (node === undefined || node.type !== Type.OID || typeof node.value !== 'string') {
    throw new Error('expected an object identifier');
  }
  return asn1.derToOid(node.value);
}

/** The bytes of a BIT STRING without its count of unused bits, which must be zero. */
export function bits(node: Asn1 | undefined): Buffer {
  const bytes = content(node);
  if (node?.type !== Type.BITSTRING || bytes[0] !== 0) throw new Error('expected a bit string of whole bytes');
  return bytes.subarray(1);
}

/** RFC 7468 text with lines of 64 characters. */
export function toPem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** The bytes of the first PEM block of that label, or undefined. */
export function fromPem(label: string, text: string): Buffer | undefined {
  const begin = `-----BEGIN ${label}-----`;
  const start = text.indexOf(begin);
  const end = start < 0 ? -1 : text.indexOf(`-----END ${label}-----`, start);
  if (end < 0) return undefined;
  const body = text.slice(start + begin.length, end).replace(/\s+/g, '');
  return /^[A-Za-z0-9+/]+={0,2}$/.test(body) ? Buffer.from(body, 'base64') : undefined;
}

/** Key identifier of a SubjectPublicKeyInfo: RFC 7093, method 1 (SHA-256 of the key's bits, cut to 160). */
export function keyIdentifier(spki: Buffer): Buffer {
  return createHash('sha256')
    .update(bits(elements(decode(spki))[1]))
    .digest()
    .subarray(0, 20);
}
