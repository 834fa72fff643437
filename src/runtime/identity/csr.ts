import { createECDH, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { fail, ok, type Result } from '../../model/result.ts';
import { extension, generalNames } from './certificate.ts';
import {
  type Asn1,
  bitString,
  bits,
  content,
  decode,
  dottedOid,
  elements,
  encode,
  fromPem,
  integer,
  octetString,
  oid,
  sequence,
  set,
  tagged,
  toPem,
} from './der.ts';

export interface KeyPair {
  readonly privateKey: KeyObject;
  /** PKCS#8. */
  readonly privateKeyPem: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
}

const LABEL = 'CERTIFICATE REQUEST';
const ECDSA_WITH_SHA256_ID = '1.2.840.10045.4.3.2';
const EC_PUBLIC_KEY_ID = '1.2.840.10045.2.1';
const P256_ID = '1.2.840.10045.3.1.7';
const ECDSA_WITH_SHA256 = sequence(oid(ECDSA_WITH_SHA256_ID));
const P256_KEY = sequence(oid(EC_PUBLIC_KEY_ID), oid(P256_ID));
const ZERO = integer(Buffer.from([0]));
const ONE = integer(Buffer.from([1]));
const EXTENSION_REQUEST = oid('1.2.840.113549.1.9.14');
const SUBJECT_ALT_NAME = oid('2.5.29.17');
/** Bytes of a P-256 scalar or coordinate. */
const P256_BYTES = 32;

/**
 * A fresh P-256 key pair. Its encodings are put together here: exporting a generated KeyObject costs four times the
 * generation, and as JWK it hangs now and then (Node 20.20: once in about 10,000 keys).
 */
export function generateKeyPair(): KeyPair {
  const ecdh = createECDH('prime256v1');
  const point = ecdh.generateKeys();
  const minimal = ecdh.getPrivateKey();
  const scalar = Buffer.concat([Buffer.alloc(P256_BYTES - minimal.length), minimal]);
  const jwk = { ...publicJwk(point), d: scalar.toString('base64url') };
  // RFC 5915 inside RFC 5958.
  const inner = encode(sequence(ONE, octetString(scalar), tagged(1, bitString(point))));
  return {
    privateKey: createPrivateKey({ key: jwk, format: 'jwk' }),
    privateKeyPem: toPem('PRIVATE KEY', encode(sequence(ZERO, P256_KEY, octetString(inner)))),
    publicKey: encode(sequence(P256_KEY, bitString(point))),
  };
}

/**
 * A PKCS#10 certification request (RFC 2986) with an empty subject, for the identities `uris`, signed with the key it
 * asks a certificate for.
 */
export function createCsr(keys: KeyPair, uris: readonly string[]): string {
  const names = sequence(...generalNames({ uris, dns: [], ips: [] }));
  const wanted = sequence(EXTENSION_REQUEST, set(sequence(extension(SUBJECT_ALT_NAME, true, names))));
  const info = sequence(ZERO, sequence(), decode(keys.publicKey), uris.length === 0 ? tagged(0) : tagged(0, wanted));
  const signature = sign('sha256', encode(info), keys.privateKey);
  return toPem(LABEL, encode(sequence(info, ECDSA_WITH_SHA256, bitString(signature))));
}

/**
 * Reads a certification request and checks that who made it holds the private key (RFC 2986, section 4.2). Returns the
 * public key as SubjectPublicKeyInfo. Names that the request asks for are not looked at: the authority decides them.
 */
export function verifyCsr(pem: string): Result<Buffer> {
  const der = fromPem(LABEL, pem);
  if (der === undefined) return refuse(`is not PEM of the label ${LABEL}`);
  let parts: { version: Buffer; algorithm: string; signature: Buffer; info: Buffer; spki: Asn1 };
  try {
    const [info, algorithm, signature, ...rest] = elements(decode(der));
    const [version, , spki] = elements(info);
    if (rest.length > 0 || spki === undefined) return refuse('does not have the parts of a request');
    parts = {
      version: content(version),
      algorithm: dottedOid(elements(algorithm)[0]),
      signature: bits(signature),
      // What is verified is the DER of what was parsed. A request in another encoding (BER) fails, as it should.
      info: encode(info!),
      spki,
    };
  } catch (error) {
    return refuse(`is malformed: ${(error as Error).message}`);
  }
  if (!parts.version.equals(Buffer.from([0]))) return refuse('is not of version 1');
  const key = p256Key(parts.spki);
  if (key === undefined) return refuse('is not for an ECDSA key on P-256');
  if (parts.algorithm !== ECDSA_WITH_SHA256_ID) {
    return refuse(`is signed with algorithm ${parts.algorithm}, not ECDSA with SHA-256`);
  }
  if (!verify('sha256', parts.info, key, parts.signature)) {
    return refuse('is not signed by the private key of the public key in it');
  }
  return ok(encode(parts.spki));
}

/** The key of a SubjectPublicKeyInfo if it is an uncompressed point on P-256. */
function p256Key(spki: Asn1): KeyObject | undefined {
  try {
    const [algorithm, key] = elements(spki);
    const [type, curve] = elements(algorithm);
    if (dottedOid(type) !== EC_PUBLIC_KEY_ID || dottedOid(curve) !== P256_ID) return undefined;
    const point = bits(key);
    if (point.length !== 1 + 2 * P256_BYTES || point[0] !== 0x04) return undefined;
    // By JWK because importing SubjectPublicKeyInfo takes twice as long; a point off the curve throws.
    return createPublicKey({ key: publicJwk(point), format: 'jwk' });
  } catch {
    return undefined;
  }
}

function publicJwk(point: Buffer): { kty: string; crv: string; x: string; y: string } {
  return {
    kty: 'EC',
    crv: 'P-256',
    x: point.toString('base64url', 1, 1 + P256_BYTES),
    y: point.toString('base64url', 1 + P256_BYTES),
  };
}

function refuse(why: string): Result<Buffer> {
  return fail({
    code: 'MESH-I121',
    message: `The certification request ${why}`,
    hint: 'send a PKCS#10 request in PEM for an ECDSA P-256 key, signed with that key (ECDSA with SHA-256)',
  });
}
