import type { BrokerKind } from './resource-config.ts';

export type ResourceUrlKind = 'postgres' | BrokerKind;

/** Where a resource is, and what else its URL says. */
export interface ResourceAddress {
  readonly host: string;
  readonly port: number;
  /** As in the URL, decoded; empty where there is none. */
  readonly user: string;
  readonly password: string;
  /** Path without its first `/`, decoded: the database or virtual host. */
  readonly path: string;
}

const SCHEMES: Readonly<Record<ResourceUrlKind, { schemes: readonly string[]; port: number }>> = {
  postgres: { schemes: ['postgres:', 'postgresql:'], port: 5432 },
  kafka: { schemes: ['kafka:'], port: 9092 },
  nats: { schemes: ['nats:', 'tls:'], port: 4222 },
  rabbitmq: { schemes: ['amqp:', 'amqps:'], port: 5672 },
  redis: { schemes: ['redis:', 'rediss:'], port: 6379 },
};

/** The address that the URL of a resource stands for, or what is wrong with the URL. */
export function parseResourceUrl(kind: ResourceUrlKind, text: string): ResourceAddress | { readonly wrong: string } {
  const { schemes, port } = SCHEMES[kind];
  const scheme = schemes[0];
  if (/^[\w.-]+(:\d+)?$/.test(text)) return { wrong: `write it with its scheme: '${scheme}//${text}'` };
  if (!URL.canParse(text)) {
    return {
      wrong: `write it like ${scheme}//127.0.0.1:${port}; special characters in a password are percent-encoded`,
    };
  }
  const url = new URL(text);
  if (!schemes.includes(url.protocol)) {
    return { wrong: `the scheme is ${schemes.map((each) => `${each}//`).join(' or ')}` };
  }
  if (url.hostname === '') return { wrong: 'write it with its host' };
  const path = decode(url.pathname.slice(1));
  const user = decode(url.username);
  const password = decode(url.password);
  if (path === null || user === null || password === null) return { wrong: 'a % has to be written %25' };
  if (kind === 'postgres' && (path === '' || path.includes('/'))) {
    return { wrong: `write it with the database: '${scheme}//${url.host}/orders'` };
  }
  const defaultPort = url.protocol === 'amqps:' ? 5671 : port;
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase(),
    port: url.port === '' ? defaultPort : Number(url.port),
    user,
    password,
    path,
  };
}

/** The same URL for whoever reaches the server at another address. */
export function urlAt(text: string, host: string, port: number): string {
  // Schemes that the URL standard does not know keep what is put into them only by the text.
  const [, scheme, login = '', rest] = /^([a-z]+:\/\/)([^@/?#]*@)?[^/?#]*(.*)$/i.exec(text)!;
  return `${scheme}${login}${host}:${port}${rest}`;
}

/** Without the password: for people. */
export const shownUrl = (text: string): string => text.replace(/^([a-z]+:\/\/[^:@/?#]*):[^@/?#]*@/i, '$1:***@');

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
