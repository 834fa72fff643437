import type { AccessLogConfig, OtlpConfig, OtlpSignal, TelemetryConfig, TracesConfig } from '../config.ts';
import {
  closed,
  dictionary,
  duration,
  either,
  flag,
  list,
  no,
  nonEmpty,
  number,
  oneOf,
  optional,
  port,
  text,
  writeIssue,
} from '../schema-parts.ts';
import { headerName, headerValue } from '../schema-texts.ts';
import { quote } from '../show.ts';

const collectorUrl = text('a URL', (value) => {
  const url = URL.canParse(value) ? new URL(value) : null;
  return url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.search === '' && url.hash === ''
    ? undefined
    : writeIssue('MESH-C122', `${quote(value)} is not the URL of a collector`, "for example 'http://127.0.0.1:4318'");
});

const tracing = closed<TracesConfig>('traces', {
  sample: optional(number('a share of traces', 0, 1, false)),
  maxPerSecond: optional(number('a number of traces', 0, 1_000_000)),
  slow: optional(duration()),
});

const traces = either<TracesConfig | false>((input) => (input === false ? no : tracing));

const otlp = closed<OtlpConfig>('otlp', {
  endpoint: collectorUrl,
  headers: optional(dictionary('headers', headerName, headerValue)),
  protocol: optional(
    oneOf<NonNullable<OtlpConfig['protocol']>>({ 'http/protobuf': true, 'http/json': true, grpc: true }),
  ),
  signals: optional(list('signals', oneOf<OtlpSignal>({ traces: true, metrics: true }), 1)),
  metricsInterval: optional(duration(1_000, 3_600_000)),
});

const accessLogSettings = closed<AccessLogConfig>('the access log', {
  output: optional(oneOf<NonNullable<AccessLogConfig['output']>>({ file: true, stdout: true })),
  file: optional(nonEmpty('a path')),
  format: optional(oneOf<NonNullable<AccessLogConfig['format']>>({ json: true, text: true })),
});

/** Of the mesh or of a service. */
export const accessLog = either<boolean | AccessLogConfig>((input) =>
  typeof input === 'object' && input !== null ? accessLogSettings : flag,
);

export const telemetry = closed<TelemetryConfig>('telemetry', {
  admin: optional(port),
  accessLog: optional(accessLog),
  redactHeaders: optional(list('header names', headerName)),
  redactFields: optional(list('field names', nonEmpty('the name of a field'))),
  traces: optional(traces),
  otlp: optional(otlp),
});
