import type { CodeTable } from '../errors.ts';

/** S15x: `mesh saga`. */
export const sagaCodes = {
  'MESH-S150': {
    title: 'the service shows no sagas',
    explanation: `\`mesh saga\` asks the service for \`GET /sagas\` and \`GET /sagas/ID\`, which services made by \`mesh new saga\` answer. This one
does not, or not in their form. Name the service that runs the sagas, not one that takes part in them.`,
  },
  'MESH-S151': {
    title: 'no such saga',
    explanation: `The service knows no saga of that ID. \`mesh saga ls SERVICE\` lists the latest with their IDs; for a service made by
\`mesh new saga\` it is the \`idempotency-key\` of the request that began it, where there was one.`,
  },
  'MESH-S152': {
    title: 'the service cannot show its sagas now',
    explanation: `The service was reached and answered with an error: it is starting, or its database is away. Sagas are in the database, so
none is lost meanwhile. \`mesh ps\` shows how the service and its database are, \`mesh logs SERVICE\` what it says.`,
  },
} as const satisfies CodeTable<'S'>;
