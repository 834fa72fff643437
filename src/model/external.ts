/** Where an external service is, and how it is spoken to. */
export interface ExternalAddress {
  /** Name or address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** Raw TCP: `tcp://`. */
  readonly tcp: boolean;
}

const DEFAULT_PORT: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };

/** The address that a URL of an external service stands for, or what is wrong with the URL. */
export function parseExternal(text: string): ExternalAddress | { readonly wrong: string } {
  if (!URL.canParse(text)) {
    return {
      wrong: /^[\w.-]+(:\d+)?$/.test(text)
        ? `with its scheme: 'http://${text}'`
        : 'a URL such as http://127.0.0.1:9000',
    };
  }
  const url = new URL(text);
  if (!['http:', 'https:', 'tcp:'].includes(url.protocol)) {
    return {
      wrong: /^[\w.-]+:\d+$/.test(text) ? `with its scheme: 'http://${text}'` : 'the scheme is http, https or tcp',
    };
  }
  if (url.username !== '' || url.password !== '') return { wrong: 'without user and password' };
  if (!['', '/'].includes(url.pathname) || url.search !== '' || url.hash !== '') {
    return { wrong: 'without path and query: rewrite paths with a filter of a route' };
  }
  const port = url.port === '' ? DEFAULT_PORT[url.protocol] : Number(url.port);
  if (port === undefined || port === 0) return { wrong: 'with its port' };
  if (url.hostname === '') return { wrong: 'with its host' };
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase(),
    port,
    tls: url.protocol === 'https:',
    tcp: url.protocol === 'tcp:',
  };
}
