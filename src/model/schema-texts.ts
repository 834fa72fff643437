import type * as v from 'valibot';
import { text, writeIssue } from './schema-parts.ts';
import { quote } from './show.ts';
import { validTrustDomain } from './spiffe.ts';

/** RFC 1123: what a label of a host name may be. */
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** RFC 9110, section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** RFC 9110, section 5.5, with text beyond ASCII, which goes over the wire as UTF-8. */
const FIELD_VALUE = /^[^\p{Cc}\p{Cs}]*$/u;
const HOST_LABEL = /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;
const IPV6 = /^\[[0-9A-Fa-f:.]{2,45}\]$/;
const GRPC_SERVICE = /^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$/;
const GRPC_METHOD = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Fields of one connection or of a message's framing (RFC 9110, section 7.6.1), and those that the mesh vouches for. */
const NOT_FOR_ROUTES: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-forwarded-client-cert',
]);

/** Name of a mesh, namespace or subset. */
export const label: v.GenericSchema<string> = text('a name', notLabel);

/** A label that does not name the way in. */
export const serviceName: v.GenericSchema<string> = text('the name of a service', (value) =>
  value === 'gateway'
    ? writeIssue('MESH-C108', 'a service cannot be called gateway', 'the name stands for the way into the mesh')
    : notLabel(value),
);

function notLabel(value: string): string | undefined {
  if (LABEL.test(value)) return undefined;
  const meant = value
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, '');
  const rule = 'lowercase letters, digits and -, beginning and ending with a letter or digit, at most 63 characters';
  const hint = LABEL.test(meant) ? `did you mean '${meant}'? Names are ${rule}` : `names are ${rule}`;
  return writeIssue('MESH-C108', `${quote(value)} is not a valid name`, hint);
}

export const trustDomain: v.GenericSchema<string> = text('a trust domain', (value) =>
  validTrustDomain(value)
    ? undefined
    : writeIssue(
        'MESH-C119',
        `${quote(value)} is not a trust domain`,
        'lowercase letters, digits, dots, hyphens and underscores, at most 255 of them',
      ),
);

/** An absolute path without query. */
export const urlPath: v.GenericSchema<string> = text('a path', (value) => {
  if (!value.startsWith('/')) {
    return writeIssue(
      'MESH-C115',
      `${quote(value)} is not a path`,
      `a path begins with /: did you mean ${quote(`/${value}`)}?`,
    );
  }
  return /[\s\p{Cc}\p{Cs}?#]/u.test(value)
    ? writeIssue(
        'MESH-C115',
        `${quote(value)} is not a path`,
        'a path has no query, fragment, blanks or control characters',
      )
    : undefined;
});

/** The path of a probe, which may bring a query. */
export const probePath: v.GenericSchema<string> = text('a path', (value) =>
  /^\/[^\s\p{Cc}\p{Cs}#]*$/u.test(value)
    ? undefined
    : writeIssue('MESH-C115', `${quote(value)} is not a path`, 'a path begins with / and has no fragment or blanks'),
);

/** A regular expression, as it stands or (`whole`) between anchors. */
export const regex = (whole: boolean): v.GenericSchema<string> =>
  text('a regular expression', (value) => {
    try {
      new RegExp(whole ? `^(?:${value})$` : value);
      // `)(` is one only between the anchors.
      new RegExp(value);
      return undefined;
    } catch (error) {
      const reason = (error as Error).message.replace(/^Invalid regular expression: /, '');
      return writeIssue('MESH-C110', `${quote(value)} is not a regular expression: ${reason}`);
    }
  });

export const method: v.GenericSchema<string> = text('a request method', (value) =>
  TOKEN.test(value) ? undefined : writeIssue('MESH-C116', `${quote(value)} is not a request method`),
);

export const headerName: v.GenericSchema<string> = text('a header name', notHeaderName);

/** A header that a route may change. */
export const changeableHeader: v.GenericSchema<string> = text('a header name', (value) => {
  const wrong = notHeaderName(value);
  if (wrong !== undefined) return wrong;
  const name = value.toLowerCase();
  if (name === 'host') {
    return writeIssue('MESH-C111', 'the header host cannot be changed here', 'use filters: { rewrite: { host } }');
  }
  return NOT_FOR_ROUTES.has(name) || name.startsWith('x-mesh-')
    ? writeIssue('MESH-C111', `the header ${name} cannot be changed by a route`, 'it belongs to the proxies')
    : undefined;
});

function notHeaderName(value: string): string | undefined {
  if (TOKEN.test(value)) return undefined;
  const hint = value.endsWith(':')
    ? `without the colon: ${quote(value.slice(0, -1))}`
    : "letters, digits and !#$%&'*+.^_`|~- only";
  return writeIssue('MESH-C111', `${quote(value)} is not a header name`, hint);
}

export const headerValue: v.GenericSchema<string> = text(
  'a header value',
  (value) =>
    FIELD_VALUE.test(value) && value === value.trim()
      ? undefined
      : writeIssue('MESH-C112', `${quote(value)} is not a header value`, 'no control characters, no blanks around it'),
  textOf,
);

/** A part of a header value or query value. */
export const plainText: v.GenericSchema<string> = text(
  'text',
  (value) => (FIELD_VALUE.test(value) ? undefined : writeIssue('MESH-C112', `${quote(value)} has a control character`)),
  textOf,
);

export const queryName: v.GenericSchema<string> = text('the name of a query parameter', (value) =>
  value === '' ? writeIssue('MESH-C117', 'the name of a query parameter is empty') : undefined,
);

/** A host name or address, without port. */
export const host: v.GenericSchema<string> = text('a host name', (value) =>
  isHost(value) ? undefined : notHost(value),
);

/** A host name or address, with or without port. */
export const authority: v.GenericSchema<string> = text('a host name', (value) => {
  const parts = /^(.*?)(?::(\d{1,5}))?$/.exec(value)!;
  const portOk = parts[2] === undefined || (Number(parts[2]) >= 1 && Number(parts[2]) <= 65_535);
  return portOk && isHost(parts[1]) ? undefined : notHost(value);
});

/** A host that a gateway route is for: a name, `*.` and a name, or `*`. */
export const hostPattern: v.GenericSchema<string> = text('a host name', (value) => {
  const name = value.startsWith('*.') ? value.slice(2) : value;
  return value === '*' || isHost(name) ? undefined : notHost(value);
});

function notHost(value: string): string {
  const bare = value.replace(/^[a-z]+:\/\//i, '').replace(/[:/].*$/s, '');
  const hint =
    bare !== value && isHost(bare) ? `did you mean '${bare}'?` : "such as 'shop.localhost'; `*.` only in front";
  return writeIssue('MESH-C113', `${quote(value)} is not a host name`, hint);
}

function isHost(value: string): boolean {
  if (IPV6.test(value)) return true;
  return value.length <= 253 && value !== '' && value.split('.').every((part) => HOST_LABEL.test(part));
}

export const environmentName: v.GenericSchema<string> = text('the name of an environment variable', (value) =>
  value !== '' && !/[=\0]/.test(value)
    ? undefined
    : writeIssue('MESH-C118', `${quote(value)} is not the name of an environment variable`),
);

export const environmentValue: v.GenericSchema<string> = text(
  'text',
  (value) => (value.includes('\0') ? writeIssue('MESH-C118', 'the value has a NUL character') : undefined),
  (input) => textOf(input, 'environment variables are text'),
);

export const grpcService: v.GenericSchema<string> = text('the name of a gRPC service', (value) =>
  GRPC_SERVICE.test(value)
    ? undefined
    : writeIssue(
        'MESH-C121',
        `${quote(value)} is not the name of a gRPC service`,
        "the full name: 'shop.v1.OrderService'",
      ),
);

/** The service of a health check; empty is the whole server. */
export const healthService: v.GenericSchema<string> = text('the name of a gRPC service', (value) =>
  /[\s\p{Cc}]/u.test(value) ? writeIssue('MESH-C121', `${quote(value)} is not the name of a gRPC service`) : undefined,
);

export const grpcMethod: v.GenericSchema<string> = text('the name of a gRPC method', (value) =>
  GRPC_METHOD.test(value)
    ? undefined
    : writeIssue('MESH-C121', `${quote(value)} is not the name of a gRPC method`, "one word: 'CreateOrder'"),
);

function textOf(input: unknown, rule = ''): string {
  if (typeof input !== 'number' && typeof input !== 'boolean') return rule;
  return rule === '' ? `in quotes: '${input}'` : `${rule}: '${input}'`;
}
