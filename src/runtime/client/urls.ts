import type { MeshStatus } from '../../model/status.ts';

/** Addresses of the gateway for people: names under localhost, since the certificate is for those. */
export function gatewayUrls({ mesh, gateway }: Pick<MeshStatus, 'mesh' | 'gateway'>): string[] {
  const urls: string[] = [];
  if (gateway.http !== undefined) urls.push(`http://localhost:${gateway.http}`);
  if (gateway.https !== undefined) urls.push(`https://${mesh}.localhost:${gateway.https}`);
  return urls;
}

/** `shop is ready in 1.2 s: http://localhost:8080` */
export function readyLine(status: MeshStatus, took: string | null): string {
  const urls = gatewayUrls(status);
  const time = took === null ? '' : ` in ${took}`;
  if (urls.length > 0) return `${status.mesh} is ready${time}: ${urls.join('  ')}`;
  return `${status.mesh} is ready${time}: ${status.services.length} services, no gateway`;
}
