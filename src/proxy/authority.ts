/** Where the port's colon is in `host:port` or `[v6]:port`; the length where there is none. */
function hostEnd(authority: string): number {
  const colon = authority.lastIndexOf(':');
  if (colon < 0 || authority.indexOf(']', colon) >= 0) return authority.length;
  // An IPv6 address without brackets is no valid authority; cutting it at its last colon would make up a port.
  if (authority.charCodeAt(0) !== 0x5b && authority.indexOf(':') !== colon) return authority.length;
  return colon;
}

/** The host of an authority as sent: without port, brackets kept. */
export function hostOf(authority: string): string {
  return authority.slice(0, hostEnd(authority));
}

/** The port of an authority, 0 where there is none or where it is none. */
export function portOf(authority: string): number {
  const at = hostEnd(authority) + 1;
  if (at >= authority.length || authority.length - at > 5) return 0;
  let port = 0;
  for (let i = at; i < authority.length; i++) {
    const digit = authority.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return 0;
    port = port * 10 + digit;
  }
  return port <= 65535 ? port : 0;
}

/** The host by which routes and services are looked up: lower case, without port and without the root's dot. */
export function hostKey(authority: string): string {
  const host = hostOf(authority).toLowerCase();
  return host.endsWith('.') ? host.slice(0, -1) : host;
}
