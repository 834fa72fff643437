import type { CodeTable } from '../errors.ts';

/** C1xx: a single value of the configuration. */
export const fieldCodes = {
  'MESH-C101': {
    title: 'a key that does not exist',
    explanation: `The configuration has a key that mesh does not know, so it would be silently ignored. The hint names the nearest one
and those allowed there. With \`defineMesh\` your editor completes them.`,
  },
  'MESH-C102': {
    title: 'a value of the wrong type',
    explanation: `The value is not of the type that belongs there; the message says what was found and what is allowed.
  replicas: 2                  // a number, not '2'
  env: { LEVEL: '3' }          // environment variables are text, not 3`,
  },
  'MESH-C103': {
    title: 'a required key is missing',
    explanation: `The object lacks a key that has no default: \`version\`, \`name\` and \`services\` of the mesh, \`routes\` of a gateway,
\`service\` of a gateway's backend, \`attempts\` of retries.`,
  },
  'MESH-C104': {
    title: 'not one of the allowed values',
    explanation: `The field takes one of a few words or numbers, which the hint lists: protocol takes http, http2, grpc or tcp; a
condition of dependsOn takes started, ready or completed.`,
  },
  'MESH-C105': {
    title: 'not a duration',
    explanation: `Durations are text in the Gateway API's form (GEP-2257): whole numbers with a unit h, m, s or ms, up to four of them.
  '500ms'   '10s'   '1m30s'   '1h'      // not: 10, '10', '1.5s', '10 sec', '1d'
'0s' turns a limit off.`,
  },
  'MESH-C106': {
    title: 'not a size',
    explanation: `Sizes are digits with an optional unit Ki, Mi, Gi or Ti (powers of 1024): '512', '64Ki', '10Mi', '1Gi'.`,
  },
  'MESH-C107': {
    title: 'a number out of range',
    explanation: `The number is too small, too large, or not whole where only whole ones make sense: ports are 1 to 65535, weights 0 or
more, replicas 0 to 1000.`,
  },
  'MESH-C108': {
    title: 'not a valid name',
    explanation: `Names of the mesh, its namespace, services and subsets become part of host names and identities: lowercase letters,
digits and \`-\`, beginning and ending with a letter or digit, at most 63 characters (an RFC 1123 label).
\`gateway\` cannot be a service: it names the way in.`,
  },
  'MESH-C109': {
    title: 'not exactly one of several keys',
    explanation: `The object says which kind it is by its key, so it has exactly one of them (or, for a probe, exactly one action):
  path: { prefix: '/api' }          // not: { prefix: '/api', exact: '/api/v1' }
  readiness: { http: '/health' }    // not: { http: '/health', tcp: {} }, and not: { interval: '1s' }`,
  },
  'MESH-C110': {
    title: 'not a regular expression',
    explanation: `The text is not a regular expression of JavaScript. Write the expression without slashes and flags, and mind that a
backslash in a string is written twice:
  path: { regex: '/users/\\\\d+' }
Expressions of matches must agree with the whole text, those of log probes with any part of a line.`,
  },
  'MESH-C111': {
    title: 'not a header that can be used here',
    explanation: `Header names consist of letters, digits and !#$%&'*+.^_\`|~- (RFC 9110, section 5.1). Fields that belong to the
connection or to the framing of a message (host, connection, content-length, transfer-encoding, upgrade, te, trailer,
keep-alive, proxy-connection) and those that the mesh vouches for (x-forwarded-client-cert, x-mesh-*) cannot be changed by
a route; to change the host use \`rewrite: { host }\`. Two spellings of one name in one place are a mistake, too.`,
  },
  'MESH-C112': {
    title: 'not a header value',
    explanation: `A header value has no line breaks or other control characters and no blanks around it (RFC 9110, section 5.5).`,
  },
  'MESH-C113': {
    title: 'not a host name',
    explanation: `A host is a DNS name or IP address without scheme, port or path: 'shop.localhost', '127.0.0.1'. In \`hosts\` of a
gateway route, \`*.\` in front stands for one or more labels: '*.shop.localhost'.`,
  },
  'MESH-C114': {
    title: 'not an address of an external service',
    explanation: `\`external\` is a URL with scheme http, https or tcp, a host and a port (80 and 443 by default), nothing else:
  external: 'https://127.0.0.1:8444'      external: 'tcp://127.0.0.1:5432'
A tcp:// address means \`protocol: 'tcp'\`, the others one of http, http2, grpc.`,
  },
  'MESH-C115': {
    title: 'not a path',
    explanation: `A path begins with \`/\` and has no query, fragment, blanks or control characters: '/api/orders'. Match queries with
\`query\`.`,
  },
  'MESH-C116': {
    title: 'not a request method',
    explanation: `A method is a word such as GET, POST or DELETE (RFC 9110, section 9.1).`,
  },
  'MESH-C117': {
    title: 'an empty value',
    explanation: `The text or list is empty where something must stand. Leave the key out to get the default.`,
  },
  'MESH-C118': {
    title: 'not an environment variable',
    explanation: `The name of an environment variable is not empty and has no \`=\`; neither name nor value has a NUL character.`,
  },
  'MESH-C119': {
    title: 'not a trust domain',
    explanation: `A SPIFFE trust domain consists of lowercase letters, digits, dots, hyphens and underscores, at most 255 of them, without
port: 'shop.local'.`,
  },
  'MESH-C120': {
    title: 'a duration out of range',
    explanation: `The duration is too short or too long for its purpose: certificates live at least 5s and at most a year, probes and
health checks run at most every 10ms, and no timer runs longer than 596h.`,
  },
  'MESH-C121': {
    title: 'not a gRPC name',
    explanation: `A gRPC service is its full name with the package, 'shop.v1.OrderService'; a method is one word, 'CreateOrder'.`,
  },
  'MESH-C122': {
    title: 'not the URL of a collector',
    explanation: `Traces are exported to the base URL of an OTLP endpoint, to which /v1/traces is added: 'http://127.0.0.1:4318'; for
protocol: 'grpc' 'http://127.0.0.1:4317'. It has no query.`,
  },
} as const satisfies CodeTable<'C'>;
