import type { Self } from './service.ts';

/** One service that took part in an answer, as it is shown to the customer of this demo. */
export interface Hop {
  service: string;
  instance: string;
  version: string;
  action: string;
  /** Who asked, as the service saw it: a SPIFFE ID, or empty without mutual TLS. */
  caller: string;
}

export function hopOf(self: Self, action: string, caller: string): Hop {
  return { service: self.service, instance: self.instance, version: self.version ?? '', action, caller };
}

/**
 * The caller's SPIFFE ID from `x-forwarded-client-cert`, which the proxy in front of a service writes once it has
 * verified the caller's certificate: `By=spiffe://...;Hash=...;URI=spiffe://...`. Each proxy appends an element
 * after a comma, so the last one is the direct caller. Without a mesh there is no such header, and no caller.
 */
export function callerFrom(forwardedClientCert: string | undefined): string {
  const direct = forwardedClientCert?.split(',').at(-1) ?? '';
  return /(?:^|;)\s*URI="?(spiffe:\/\/[^;"]+)/i.exec(direct)?.[1] ?? '';
}
