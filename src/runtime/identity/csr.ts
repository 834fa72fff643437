import { createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { fail, ok, type Result } from '../../model/result.ts';
import { extension, generalNames } from './certificate.ts';
import {
  bitString,
  bits,
  content,
  decode,
  dottedOid,
  elements,
  encode,
  fromPem,
  integer,
  oid,
  sequence,
  set,
  tagged,
  toPem,
} from './der.ts';

export interface KeyPair {
  readonly privateKey: KeyObject;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer;
}

const LABEL = 'CERTIFICATE REQUEST';
const ECDSA_WITH_SHA256_ID = '1.2.840.10045.4.3.2';
const ECDSA_WITH_SHA256 = sequence(oid(ECDSA_WITH_SHA256_ID));
const VERSION_1 = integer(Buffer.from([0]));
const EXTENSION_REQUEST = oid('1.2.840.113549.1.9.14');
const SUBJECT_ALT_NAME = oid('2.5.29.17');

/** A fresh P-256 key pair. */
export function generateKeyPair(): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { privateKey, publicKey: publicKey.export({ type: 'spki', format: 'der' }) };
}

export function privateKeyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string;
}

/**
 * A PKCS#10 certification request (RFC 2986) with an empty subject, for the identities `uris`, signed with the key it
 * asks a certificate for.
 */
export function createCsr(keys: KeyPair, uris: readonly string[]): string {
  const names = sequence(...generalNames({ uris, dns: [], ips: [] }));
  const wanted = sequence(EXTENSION_REQUEST, set(sequence(extension(SUBJECT_ALT_NAME, true, names))));
  const info = sequence(
    VERSION_1,
    sequence(),
    decode(keys.publicKey),
    uris.length === 0 ? tagged(0) : tagged(0, wanted),
  );
  const signature = sign('sha256', encode(info), keys.privateKey);
  return toPem(LABEL, encode(sequence(info, ECDSA_WITH_SHA256, bitString(signature))));
}

/**
 * Reads a certification request and checks that who made it holds the private key (RFC 2986, section 4.2). Returns the
 * public key as SubjectPublicKeyInfo. Names that the request asks for are not looked at: the authority decides them.
 */
export function verifyCsr(pem: string): Result<Buffer> {
  const der = fromPem(LABEL, pem);
  if (der === undefined) return refuse('is not PEM of the label CERTIFICATE REQUEST');
  let info: Buffer;
  let algorithm: string;
  let signature: Buffer;
  let publicKey: Buffer;
  let key: KeyObject;
  try {
    const [infoNode, algorithmNode, signatureNode, ...rest] = elements(decode(der));
    if (rest.length > 0) return refuse('has more than three parts');
    const [version, , spki] = elements(infoNode);
    if (!content(version).equals(Buffer.from([0]))) return refuse('is not of version 1');
    // What is verified is the DER of what was parsed. A request in another encoding (BER) fails here, as it should.
    info = encode(infoNode!);
    algorithm = dottedOid(elements(algorithmNode)[0]);
    signature = bits(signatureNode);
    publicKey = encode(spki!);
    key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' });
  } catch (error) {
    return refuse(`is malformed: ${(error as Error).message}`);
  }
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    return refuse(`is for a key of type ${key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType}, not P-256`);
  }
  if (algorithm !== ECDSA_WITH_SHA256_ID)
    return refuse(`is signed with algorithm ${algorithm}, not ECDSA with SHA-256`);
  if (!verify('sha256', info, key, signature)) {
    return refuse('is not signed by the private key of the public key in it');
  }
  return ok(publicKey);
}

function refuse(why: string): Result<Buffer> {
  return fail({
    code: 'MESH-I121',
    message: `The certification request ${why}`,
    hint: 'send a PKCS#10 request in PEM for an ECDSA P-256 key, signed with that key (ECDSA with SHA-256)',
  });
}
