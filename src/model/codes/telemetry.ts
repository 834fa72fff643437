import type { CodeTable } from '../errors.ts';

/** T: telemetry. */
export const telemetryCodes = {
  'MESH-T101': {
    title: 'an access log that goes to two places',
    explanation: `An access log goes to a file or to stdout, not to both: \`stdout\` has no \`file\`.
  accessLog: { output: 'stdout' }      accessLog: { file: 'logs/access.log', format: 'json' }`,
  },
  'MESH-T102': {
    title: 'the access log cannot be written',
    explanation: `The disk is full, the directory is not yours, or something else is in the file's place. Requests go on; it is tried
again every few seconds, and how many lines are missing is told when it works again.`,
  },
  'MESH-T103': {
    title: 'metrics cannot be exported',
    explanation: `The collector of \`telemetry.otlp\` does not take metrics. It is tried again with growing pauses, and nothing is
lost but points in between: what is sent next has the sums since the start. For a collector that takes traces only, set
\`signals: ['traces']\`.`,
  },
  'MESH-T104': {
    title: 'services that do not send their spans',
    explanation: `Traces were off when these services were started, so they have no OTEL_EXPORTER_OTLP_ENDPOINT. The proxies report
from now on; to see the spans of the services themselves too, restart them with \`mesh restart\`.`,
  },
} as const satisfies CodeTable<'T'>;
