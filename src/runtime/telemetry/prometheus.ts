import type { CertificateStatus, MeshStatus } from '../../model/status.ts';
import { countUpTo } from '../../proxy/telemetry/histogram.ts';
import type { TrafficSeries } from './traffic-history.ts';

/** Content type of the text format 0.0.4. */
export const PROMETHEUS_TEXT = 'text/plain; version=0.0.4; charset=utf-8';

/** Upper bounds of `response_latency_ms`, Linkerd's. */
const LATENCY_BOUNDS_MS = [
  1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500, 1_000, 2_000, 3_000, 4_000, 5_000, 10_000, 20_000, 30_000,
  40_000, 50_000,
];
/** In the proxies' counters successes come first, one place for each status. */
const GRPC_STATUSES = 18;

export interface Exposition {
  series: readonly TrafficSeries[];
  status: MeshStatus;
  certificates: readonly CertificateStatus[];
  /** Open connections by data plane, then by `<direction> <service>`. */
  connections: readonly Readonly<Record<string, number>>[];
  process: {
    /** Seconds since the epoch. */
    startedAt: number;
    residentBytes: number;
    cpuSeconds: number;
  };
}

type Labels = Readonly<Record<string, string>>;
interface Sample {
  /** What comes after the metric's name: `_bucket`, `_sum`, `_count`. */
  readonly suffix?: string;
  readonly labels: Labels;
  readonly value: number;
}

/**
 * Everything that the mesh counts in Prometheus' text format. Metrics of requests carry `direction`, `source`,
 * `destination`, `route` (outbound) or `subset` (inbound) and `tls`; never a path or an authority, of which there is no end.
 */
export function renderMetrics({ series, status, certificates, connections, process }: Exposition): string {
  const out: string[] = [];
  const metric = (name: string, type: string, help: string, samples: readonly Sample[]): void => {
    if (samples.length === 0) return;
    out.push(`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`);
    for (const { suffix = '', labels, value } of samples)
      out.push(`${name}${suffix}${labelText(labels)} ${valueText(value)}`);
  };
  const counter = (name: string, help: string, of: (each: TrafficSeries) => number) =>
    metric(
      name,
      'counter',
      help,
      series.map((each) => ({ labels: labelsOf(each), value: of(each) })),
    );

  counter('request_total', 'Requests.', (each) => each.totals.requests);
  metric(
    'response_total',
    'counter',
    'Responses, and requests that ended without one (status_code 0).',
    series.flatMap(responses),
  );
  metric(
    'response_latency_ms',
    'histogram',
    'Milliseconds from the head of a request to the end of its response.',
    series.flatMap(latency),
  );
  counter('request_retry_total', 'Tries beyond the first.', (each) => each.totals.retries);
  counter('request_bytes_total', 'Bytes of request bodies.', (each) => each.totals.requestBytes);
  counter('response_bytes_total', 'Bytes of response bodies.', (each) => each.totals.responseBytes);
  metric(
    'request_in_flight',
    'gauge',
    'Requests under way.',
    series.map((each) => ({ labels: labelsOf(each), value: Math.max(0, each.active) })),
  );
  metric('tcp_open_connections', 'gauge', 'Open connections of clients to the proxies.', openConnections(connections));
  metric(
    'response_flags_total',
    'counter',
    "Responses that a proxy made or cut off, by Envoy's response flag.",
    byKey(status.traffic.flags, 'flag'),
  );
  metric(
    'refused_peers_total',
    'counter',
    'Peers that mutual TLS refused.',
    byKey(status.traffic.refusedPeers, 'reason'),
  );
  metric(
    'identity_cert_expiration_timestamp_seconds',
    'gauge',
    'When the certificate of a service expires, in seconds since the epoch.',
    certificates.map(({ service, spiffeId, notAfter }) => ({
      labels: { service, identity: spiffeId },
      value: Date.parse(notAfter) / 1_000,
    })),
  );
  metric('service_instance_up', 'gauge', 'Whether an instance is ready.', instances(status));
  metric('service_instance_restarts_total', 'counter', 'Restarts of an instance.', restarts(status));
  metric('mesh_config_version', 'gauge', 'Version of the configuration that the proxies run on.', [
    { labels: { mesh: status.mesh }, value: status.config.version },
  ]);
  metric('mesh_config_valid', 'gauge', 'Whether the configuration that was saved last is in force.', [
    {
      labels: { mesh: status.mesh },
      value: status.config.problems.some(({ severity }) => severity !== 'warning') ? 0 : 1,
    },
  ]);
  metric('data_planes', 'gauge', 'Data-plane processes that run.', [
    { labels: {}, value: status.dataPlanePids.length },
  ]);
  metric('process_start_time_seconds', 'gauge', 'When the daemon was started, in seconds since the epoch.', [
    { labels: {}, value: process.startedAt },
  ]);
  metric('process_resident_memory_bytes', 'gauge', 'Memory of the daemon.', [
    { labels: {}, value: process.residentBytes },
  ]);
  metric('process_cpu_seconds_total', 'counter', 'Processor time of the daemon.', [
    { labels: {}, value: process.cpuSeconds },
  ]);
  return `${out.join('\n')}\n`;
}

function labelsOf({ direction, source, destination, route, subset, tls }: TrafficSeries): Labels {
  const where: Labels = direction === 'outbound' ? { route } : { subset };
  return { direction, source, destination, ...where, tls: String(tls) };
}

/** By status class and classification, for gRPC by status. */
function responses(each: TrafficSeries): Sample[] {
  const samples: Sample[] = [];
  const labels = labelsOf(each);
  const { responses: ended, failedByClass, grpcStatuses } = each.totals;
  const add = (classification: string, code: string, grpc: string, value: number) => {
    if (value > 0)
      samples.push({ labels: { ...labels, classification, status_code: code, grpc_status_code: grpc }, value });
  };
  let grpcSuccesses = 0;
  let grpcFailures = 0;
  grpcStatuses?.forEach((n, i) => {
    const failed = i >= GRPC_STATUSES;
    if (failed) grpcFailures += n;
    else grpcSuccesses += n;
    const status = i % GRPC_STATUSES;
    add(failed ? 'failure' : 'success', '2xx', status === GRPC_STATUSES - 1 ? 'unknown' : String(status), n);
  });
  ended.forEach((n, i) => {
    const code = i === 0 ? '0' : `${i}xx`;
    // A gRPC status is counted only of a 2xx.
    const [successes, failures] = i === 2 ? [grpcSuccesses, grpcFailures] : [0, 0];
    add('success', code, '', n - failedByClass[i] - successes);
    add('failure', code, '', failedByClass[i] - failures);
  });
  return samples;
}

function latency(each: TrafficSeries): Sample[] {
  const labels = labelsOf(each);
  const { latency: histogram } = each.totals;
  const buckets = LATENCY_BOUNDS_MS.map((bound) => ({
    suffix: '_bucket',
    labels: { ...labels, le: String(bound) },
    value: countUpTo(histogram, bound),
  }));
  return [
    ...buckets,
    { suffix: '_bucket', labels: { ...labels, le: '+Inf' }, value: histogram.count },
    { suffix: '_sum', labels, value: histogram.sumMs },
    { suffix: '_count', labels, value: histogram.count },
  ];
}

function openConnections(dataPlanes: Exposition['connections']): Sample[] {
  const sums = new Map<string, number>();
  for (const counts of dataPlanes)
    for (const [key, n] of Object.entries(counts)) sums.set(key, (sums.get(key) ?? 0) + n);
  return [...sums].sort().map(([key, value]) => {
    const space = key.indexOf(' ');
    return { labels: { direction: key.slice(0, space), service: key.slice(space + 1) }, value };
  });
}

const byKey = (counts: Readonly<Record<string, number>>, label: string): Sample[] =>
  Object.entries(counts)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => ({ labels: { [label]: key }, value }));

const instances = ({ services }: MeshStatus): Sample[] =>
  services
    .filter(({ external, task }) => !external && !task)
    .flatMap(({ name, instances: each }) =>
      each.map(({ id, subset, state }) => ({
        labels: { service: name, instance: id, subset },
        value: state === 'ready' ? 1 : 0,
      })),
    );

const restarts = ({ services }: MeshStatus): Sample[] =>
  services.flatMap(({ name, external, instances: each }) =>
    external
      ? []
      : each.map((instance) => ({ labels: { service: name, instance: instance.id }, value: instance.restarts })),
  );

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

/** Backslash, line feed and quote are all that the format escapes. */
const escapeLabel = (value: string): string => value.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`));
const escapeHelp = (text: string): string => text.replace(/[\\\n]/g, (c) => (c === '\n' ? '\\n' : '\\\\'));

function valueText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}
