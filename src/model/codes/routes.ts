import type { CodeTable } from '../errors.ts';

/** C3xx: routes of services and of the gateway. */
export const routeCodes = {
  'MESH-C301': {
    title: 'backends without any weight',
    explanation: `The weights of a route's backends sum to zero, so no request could go anywhere. Give at least one a weight above 0.`,
  },
  'MESH-C302': {
    title: 'a route that no request can reach',
    explanation: `Every request that this route matches is taken by one that is tried before it. Routes are tried in the Gateway API's
order whatever their order in the file: exact path, longest prefix, regular expression, no path; then those with a method,
with more headers, with more query parameters; then the first in the file. Remove the route, or make its match narrower.`,
  },
  'MESH-C303': {
    title: 'a match that no request can reach',
    explanation: `One of several matches of a route never decides anything, because an earlier match, of this or another route, takes all
its requests. Remove it. See also MESH-C302.`,
  },
  'MESH-C304': {
    title: 'a redirect with backends',
    explanation: `A route with the filter \`redirect\` answers by itself; its backends would never get a request. Remove one of the two.`,
  },
  'MESH-C305': {
    title: 'a gateway route that leads nowhere',
    explanation: `A route of the gateway needs backends, or a redirect filter:
  { matches: [{ path: { prefix: '/api' } }], backends: [{ service: 'orders' }] }`,
  },
  'MESH-C306': {
    title: 'a try that may last longer than the request',
    explanation: `\`perTryTimeout\` is above the request timeout, so it never takes effect and no retry follows a slow try. A request timeout
of at least attempts + 1 times the per-try timeout leaves room for all tries.`,
  },
  'MESH-C307': {
    title: 'a subset that gets no requests',
    explanation: `The routes of the service name other subsets only, so nothing is sent to this one. Add it as a backend (weight 0 keeps it
running without requests), or remove it.`,
  },
  'MESH-C308': {
    title: 'the gateway cannot reach this service',
    explanation: `The gateway forwards HTTP and gRPC. A service with \`protocol: 'tcp'\` or \`task: true\` cannot be a backend of it.`,
  },
  'MESH-C309': {
    title: 'a route to a service that takes no HTTP requests',
    explanation: `The backend of a route is a service with \`protocol: 'tcp'\` or \`task: true\`.`,
  },
  'MESH-C310': {
    title: 'a prefix to replace where none was matched',
    explanation: `\`replacePrefix\` replaces the part of the path that \`matches\` settled. A regular expression, or a gRPC method without its
service, settles none: match with \`prefix\`, or use \`replaceFull\`.`,
  },
  'MESH-C311': {
    title: 'two routes of one name',
    explanation: `Two routes of a service (or of the gateway) have the same \`name\`, so that \`mesh routes\` and traces cannot tell them apart.`,
  },
  'MESH-C312': {
    title: 'a redirect with a rewrite',
    explanation: `\`rewrite\` changes what is sent to a backend and \`redirect\` answers without one. Use the redirect's own host and path.`,
  },
  'MESH-C313': {
    title: 'a gRPC match with a path',
    explanation: `\`grpc: { service, method }\` is a match on the path (/pkg.Service/Method), so a second \`path\` beside it could only
contradict it. Remove one of them.`,
  },
  'MESH-C314': {
    title: 'a gateway without a port',
    explanation: `The gateway has routes but neither an \`http\` nor an \`https\` port, so that nobody can reach them.`,
  },
} as const satisfies CodeTable<'C'>;
