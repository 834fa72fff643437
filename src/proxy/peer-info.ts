/** Who is at the other end of a downstream connection, settled once for each connection. */
export interface PeerInfo {
  /** SPIFFE ID from the client's certificate; empty on plain listeners. */
  spiffeId: string;
  /** Value of `x-forwarded-client-cert` for requests of this connection; empty on plain listeners. */
  forwardedClientCert: string;
  tls: boolean;
}
