import type { CodeTable } from '../errors.ts';

/** X: explaining requests, and sending them as a service. */
export const explainCodes = {
  'MESH-X101': {
    title: 'no such request is kept',
    explanation: `\`mesh explain ID\` takes the ID of a request as \`mesh tap --json\` shows it, or of its trace, or the beginning of one of them.
Requests are kept as part of traces: up to 64 MiB in .mesh/traces, the oldest go first. Which ones is said by
\`telemetry.traces\`: a share of \`sample\`, at most \`maxPerSecond\`, and in any case those that failed or were \`slow\`.
What would become of a request is explained without an ID: mesh explain --from web --to orders GET /x`,
  },
  'MESH-X102': {
    title: 'the ID of a request is not unique',
    explanation: `Several requests or traces that are kept begin with what was given. A few more digits of the ID tell them apart.`,
  },
  'MESH-X103': {
    title: 'the service cannot send a request now',
    explanation: `\`mesh request --as SERVICE\` sends through the outbound port of a running instance of that service, with its identity.
External
services have none, and one that is stopped or failed has to be started first: \`mesh ps\` shows why it does not run,
\`mesh start SERVICE\` starts it.`,
  },
  'MESH-X104': {
    title: 'no response came',
    explanation: `The connection to the service's outbound port failed or ended before a whole response had come, or --timeout passed.
\`mesh ps\` shows whether the mesh is well, \`mesh tap\` what becomes of requests.`,
  },
  'MESH-X105': {
    title: 'the service takes no HTTP requests',
    explanation: `A service with \`protocol: 'tcp'\` is connected to on a port of its caller, which finds it in its environment; a task
takes nothing
at all.`,
  },
} as const satisfies CodeTable<'X'>;
