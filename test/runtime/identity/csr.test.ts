import { createPublicKey } from 'node:crypto';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCsr, generateKeyPair, verifyCsr } from '../../../src/runtime/identity/csr.ts';
import { bits, content, decode, elements, fromPem, toPem } from '../../../src/runtime/identity/der.ts';
import { cleanUp, code, openssl, runOpenssl, temporaryDirectory, value } from './fixture.ts';

cleanUp();

const ID = 'spiffe://shop.local/ns/default/sa/orders';
const LABEL = 'CERTIFICATE REQUEST';

function message(pem: string): string {
  const result = verifyCsr(pem);
  expect(code(result)).toBe('MESH-I121');
  return result.ok ? '' : result.problems[0]!.message;
}

/** The request with one byte changed, counted from the end where negative. */
function altered(pem: string, index: number): string {
  const der = Buffer.from(fromPem(LABEL, pem)!);
  const at = index < 0 ? der.length + index : index;
  der[at] = der[at]! ^ 1;
  return toPem(LABEL, der);
}

describe('generateKeyPair', () => {
  it('encodes one key in three ways', () => {
    for (let i = 0; i < 50; i++) {
      const keys = generateKeyPair();
      const fromPrivate = createPublicKey(keys.privateKeyPem).export({ type: 'spki', format: 'der' });
      expect(fromPrivate.equals(keys.publicKey)).toBe(true);
      expect(createPublicKey(keys.privateKey).export({ type: 'spki', format: 'der' }).equals(keys.publicKey)).toBe(
        true,
      );
    }
  });
});

describe('verifyCsr', () => {
  it('returns the public key of a request', () => {
    const keys = generateKeyPair();
    expect(value(verifyCsr(createCsr(keys, [ID]))).equals(keys.publicKey)).toBe(true);
    expect(value(verifyCsr(createCsr(keys, []))).equals(keys.publicKey)).toBe(true);
  });

  it('refuses a request that another key signed', () => {
    const mine = generateKeyPair();
    const stolen = { ...generateKeyPair(), privateKey: mine.privateKey };
    expect(message(createCsr(stolen, [ID]))).toMatch(/not signed by the private key/);
  });

  it('refuses a request with a changed name', () => {
    const pem = createCsr(generateKeyPair(), [ID]);
    const at = fromPem(LABEL, pem)!.indexOf('shop');
    expect(at).toBeGreaterThan(0);
    expect(message(altered(pem, at))).toMatch(/not signed by the private key/);
  });

  it('refuses a changed signature', () => {
    expect(message(altered(createCsr(generateKeyPair(), [ID]), -1))).toMatch(/not signed by the private key/);
  });

  it('refuses a point that is not on the curve', () => {
    const pem = createCsr(generateKeyPair(), [ID]);
    const der = fromPem(LABEL, pem)!;
    const point = bits(elements(elements(elements(decode(der))[0])[2])[1]);
    expect(message(altered(pem, der.indexOf(point) + 40))).toMatch(/not for an ECDSA key on P-256/);
  });

  it.each([
    ['', /not PEM/],
    ['hello', /not PEM/],
    ['-----BEGIN CERTIFICATE REQUEST-----\n', /not PEM/],
    ['-----BEGIN CERTIFICATE REQUEST-----\n%%%%\n-----END CERTIFICATE REQUEST-----', /not PEM/],
    [toPem('CERTIFICATE', Buffer.from('3000', 'hex')), /not PEM/],
    [toPem(LABEL, Buffer.from('3000', 'hex')), /malformed|parts of a request/],
    [toPem(LABEL, Buffer.from('0500', 'hex')), /malformed/],
    [toPem(LABEL, Buffer.from('30820fff', 'hex')), /malformed/],
  ])('refuses %j', (pem, why) => {
    expect(message(pem)).toMatch(why);
  });

  it('never throws, whatever the bytes', () => {
    const good = fromPem(LABEL, createCsr(generateKeyPair(), [ID]))!;
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.uint8Array({ minLength: 1, maxLength: 4 }), (at, bytes) => {
        const der = Buffer.from(good);
        der.set(bytes.subarray(0, der.length - at), at);
        fc.pre(!der.equals(good));
        // A change may be one that DER undoes (a length in a longer form): then the key must still be the same.
        const result = verifyCsr(toPem(LABEL, der));
        if (result.ok) expect(result.value).toHaveLength(91);
      }),
      { numRuns: 300 },
    );
  });

  it.runIf(openssl)('is understood by openssl', () => {
    const { status, output } = runOpenssl(['req', '-verify', '-noout', '-text'], createCsr(generateKeyPair(), [ID]));
    expect(status).toBe(0);
    expect(output).toMatch(/verify OK/i);
    expect(output).toContain(`URI:${ID}`);
  });

  it.runIf(openssl)('accepts a P-256 request of openssl and refuses other keys', async () => {
    const directory = await temporaryDirectory();
    const request = (...key: string[]) => {
      const keyout = join(directory, 'key.pem');
      const { status, output } = runOpenssl(['req', '-new', '-nodes', '-keyout', keyout, '-subj', '/CN=x', ...key]);
      expect(status).toBe(0);
      return output;
    };
    const p256 = request('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-sha256');
    expect(value(verifyCsr(p256))).toHaveLength(91);
    expect(message(request('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384'))).toMatch(/not for an ECDSA key/);
    expect(message(request('-newkey', 'rsa:2048'))).toMatch(/not for an ECDSA key/);
    expect(message(request('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-sha384'))).toMatch(/algorithm/);
  });
});

describe('fromPem', () => {
  it('reads back what toPem wrote, whatever the line ends', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.boolean(), (bytes, crlf) => {
        const text = `comment\n${toPem('X', Buffer.from(bytes))}rest`;
        expect(fromPem('X', crlf ? text.replaceAll('\n', '\r\n') : text)?.equals(Buffer.from(bytes))).toBe(true);
      }),
    );
  });
});

describe('der', () => {
  it('tells primitive from constructed', () => {
    expect(() => elements(decode(Buffer.from('0500', 'hex')))).toThrow(/constructed/);
    expect(() => content(decode(Buffer.from('3000', 'hex')))).toThrow(/primitive/);
  });
});
