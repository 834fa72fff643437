import type { AccessLogConfig, OtlpConfig, TelemetryConfig, TracesConfig } from '../config.ts';
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
});

const accessLog = closed<AccessLogConfig>('the access log', {
  file: optional(nonEmpty('a path')),
  format: optional(oneOf<NonNullable<AccessLogConfig['format']>>({ json: true, text: true })),
});

export const telemetry = closed<TelemetryConfig>('telemetry', {
  admin: optional(port),
  accessLog: optional(
    either<boolean | AccessLogConfig>((input) => (typeof input === 'object' && input !== null ? accessLog : flag)),
  ),
  redactHeaders: optional(list('header names', headerName)),
  traces: optional(traces),
  otlp: optional(otlp),
});
