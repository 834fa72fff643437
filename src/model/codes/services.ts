import type { CodeTable } from '../errors.ts';

/** C2xx: services and what they depend on. */
export const serviceCodes = {
  'MESH-C201': {
    title: 'a service without anything to run',
    explanation: `A service has either a \`command\`, which mesh runs, or \`external\`, the address of something that runs anyway:
  orders: { command: 'node orders.js' }      legacy: { external: 'http://127.0.0.1:9000' }
With subsets, each of them may bring its own command instead.`,
  },
  'MESH-C202': {
    title: 'a service both run and external',
    explanation: `\`command\` says that mesh starts the service, \`external\` that it does not. Remove one.`,
  },
  'MESH-C203': {
    title: 'an unknown service',
    explanation: `A backend or dependency names a service that is not a key of \`services\`. Check the spelling.`,
  },
  'MESH-C204': {
    title: 'an unknown subset',
    explanation: `A backend names a subset that its service does not declare under \`subsets\`.`,
  },
  'MESH-C205': {
    title: 'a subset of a service that has none',
    explanation: `A backend names a subset, but its service declares no \`subsets\`. Declare them, or leave \`subset\` out to mean all
instances:
  inventory: { subsets: { stable: { env: { VERSION: 'v1' } }, canary: { env: { VERSION: 'v2' } } } }`,
  },
  'MESH-C206': {
    title: 'a service that depends on itself',
    explanation: `A service cannot wait for itself. To call itself it has its own port (PORT); remove it from its \`dependsOn\`.`,
  },
  'MESH-C207': {
    title: 'a circle of dependencies',
    explanation: `Services that wait for each other in a circle would never start. \`dependsOn\` is about the order of start and about who
is called: break the circle where a service can start without the other and retries its calls.`,
  },
  'MESH-C208': {
    title: 'waiting for the end of something that does not end',
    explanation: `The condition \`completed\` is for services with \`task: true\`, which run once to their end. For others use \`ready\`.`,
  },
  'MESH-C209': {
    title: 'one port for two',
    explanation: `Two services, or a service and the gateway, are given the same fixed port. Leave \`port\` out: mesh then picks a free one
and tells the service in the environment variable PORT.`,
  },
  'MESH-C210': {
    title: 'a fixed port for several instances',
    explanation: `Several instances cannot listen on one port. Remove \`port\`, so that each instance gets its own in PORT, or run one.`,
  },
  'MESH-C211': {
    title: 'a setting that an external service does not have',
    explanation: `mesh does not start external services, so it cannot give them an environment, restart, probe or stop them. Check their
health from the proxies instead: \`healthCheck: { http: '/health' }\`.`,
  },
  'MESH-C212': {
    title: 'a setting that a task does not have',
    explanation: `A service with \`task: true\` runs once to its end and takes no requests, so it has no routes, probes, balancing, health
checks or parking.`,
  },
  'MESH-C213': {
    title: 'a log line as sign of life',
    explanation: `A log probe waits for a line that is printed once; it says when a service became ready, not whether it still lives. Use
http, tcp, grpc or command for \`liveness\`.`,
  },
  'MESH-C214': {
    title: 'gRPC on a service that does not speak it',
    explanation: `A gRPC probe or match needs HTTP/2, but the service has \`protocol: 'tcp'\`. Say \`protocol: 'grpc'\`, or use a tcp probe.`,
  },
  'MESH-C215': {
    title: 'routes on a TCP service',
    explanation: `Routes look at HTTP requests; a service with \`protocol: 'tcp'\` gets its bytes forwarded unread. Remove the routes, or
declare the protocol that it speaks.`,
  },
  'MESH-C216': {
    title: 'waiting for a task to be ready',
    explanation: `A task takes no requests, so it never becomes ready. Wait for its end: \`dependsOn: { migrate: 'completed' }\`.`,
  },
  'MESH-C217': {
    title: 'a longest wait shorter than the first',
    explanation: `\`maxBackoff\` is below \`backoff\`, so every wait is as long as \`maxBackoff\`. The first wait doubles up to the longest.`,
  },
  'MESH-C218': {
    title: 'a weight for an instance that does not exist',
    explanation: `\`loadBalancer: { weighted }\` names neither a subset nor an instance (\`orders-1\`) of the service, so the weight has no
effect yet. Instances that come with \`mesh scale\` may match later.`,
  },
  'MESH-C219': {
    title: 'instances of two services with one name',
    explanation: `Instances are called <service>-<number>, or <service>-<subset>-<number>. The service orders-canary and the subset canary
of orders would both have an instance orders-canary-1. Rename one.`,
  },
  'MESH-C220': {
    title: 'PORT set by hand',
    explanation: `mesh tells a service its port in PORT, so a PORT in \`env\` has no effect. For a fixed port write \`port: 3000\`.`,
  },
  'MESH-C221': {
    title: 'the gateway is not there',
    explanation: `A service depends on \`gateway\`, but the mesh has no \`gateway\` section, or one without \`http\` and \`https\` ports.`,
  },
  'MESH-C222': {
    title: 'HTTP balancing on a TCP service',
    explanation: `Ring hash by header or cookie needs requests to read; a service with \`protocol: 'tcp'\` has none. Use
\`ringHash: { source: true }\` or another balancer.`,
  },
} as const satisfies CodeTable<'C'>;
