/**
 * node-forge's ASN.1 module alone: a third of the load time of the whole package, which brings RSA, PKCS#12 and a
 * TLS stack along. Typed here because @types/node-forge describes only the package's entry.
 */
declare module 'node-forge/lib/asn1.js' {
  interface ByteBuffer {
    getBytes(): string;
  }

  namespace asn1 {
    interface Asn1 {
      readonly tagClass: number;
      readonly type: number;
      readonly constructed: boolean;
      /** Bytes as a string of latin1 characters, or the elements of a constructed type. */
      readonly value: string | Asn1[];
    }
  }

  const asn1: {
    readonly Class: { readonly UNIVERSAL: number; readonly CONTEXT_SPECIFIC: number };
    readonly Type: {
      readonly BOOLEAN: number;
      readonly INTEGER: number;
      readonly BITSTRING: number;
      readonly OCTETSTRING: number;
      readonly OID: number;
      readonly UTF8: number;
      readonly SEQUENCE: number;
      readonly SET: number;
      readonly UTCTIME: number;
      readonly GENERALIZEDTIME: number;
    };
    create(tagClass: number, type: number, constructed: boolean, value: string | asn1.Asn1[]): asn1.Asn1;
    fromDer(bytes: string, options: { strict?: boolean; decodeBitStrings?: boolean }): asn1.Asn1;
    toDer(node: asn1.Asn1): ByteBuffer;
    oidToDer(oid: string): ByteBuffer;
    derToOid(bytes: string): string;
    dateToUtcTime(date: Date): string;
    dateToGeneralizedTime(date: Date): string;
  };
  export default asn1;
}
