import type { CodeTable } from '../errors.ts';

/** O: outboxes. */
export const outboxCodes = {
  'MESH-O101': {
    title: 'a database without an outbox',
    explanation: `The database has no table \`outbox\` with the columns id, aggregatetype, aggregateid, type and payload in any of its
schemas. \`mesh new outbox orders\` makes a service with one, or adds one to the service \`orders\` if there is one already;
the table is there when the service has applied its migrations.`,
  },
  'MESH-O102': {
    title: 'an outbox that cannot be looked at',
    explanation: `The database answers, but not this question: the user may lack the right to read the outbox, or the table differs from
what \`mesh new outbox\` makes. The server's own words are in the message.`,
  },
} as const satisfies CodeTable<'O'>;
