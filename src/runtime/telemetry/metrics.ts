import type { CertificateStatus, MeshStatus } from '../../model/status.ts';
import { countsUpTo } from '../../proxy/telemetry/histogram.ts';
import type { TrafficSeries } from './traffic-history.ts';

/** Upper bounds of `response_latency_ms`, Linkerd's. */
const LATENCY_BOUNDS_MS = [
  1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500, 1_000, 2_000, 3_000, 4_000, 5_000, 10_000, 20_000, 30_000,
  40_000, 50_000,
];
/** In the proxies' counters successes come first, one place for each status. */
const GRPC_STATUSES = 18;

/** What metrics are made of. */
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

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
  /** Of a counter: milliseconds since the epoch from when it counts. Default: since the daemon started. */
  readonly sinceMs?: number;
}

export interface Distribution {
  readonly labels: Labels;
  /** Values up to each bound. */
  readonly upTo: readonly number[];
  readonly count: number;
  readonly sum: number;
  readonly sinceMs: number;
}

/** One metric with all its label sets, in no format yet. */
export type MetricFamily = { readonly name: string; readonly help: string } & (
  | { readonly type: 'counter' | 'gauge'; readonly samples: readonly Sample[] }
  | { readonly type: 'histogram'; readonly bounds: readonly number[]; readonly samples: readonly Distribution[] }
);

/**
 * Everything that the mesh counts; those without samples are left out. Metrics of requests carry `direction`, `source`,
 * `destination`, `route` (outbound, with `gateway_route` at the gateway) or `subset` (inbound) and `tls`; never a path or
 * an authority, of which there is no end.
 */
export function metricFamilies({ series, status, certificates, connections, process }: Exposition): MetricFamily[] {
  const families: MetricFamily[] = [];
  const metric = (name: string, type: 'counter' | 'gauge', help: string, samples: readonly Sample[]): void => {
    if (samples.length > 0) families.push({ name, type, help, samples });
  };
  const counter = (name: string, help: string, of: (each: TrafficSeries) => number) =>
    metric(
      name,
      'counter',
      help,
      series.map((each) => ({ labels: labelsOf(each), value: of(each), sinceMs: each.sinceMs })),
    );

  counter('request_total', 'Requests.', (each) => each.totals.requests);
  metric(
    'response_total',
    'counter',
    'Responses, and requests that ended without one (status_code 0).',
    series.flatMap(responses),
  );
  if (series.length > 0) {
    families.push({
      name: 'response_latency_ms',
      type: 'histogram',
      help: 'Milliseconds from the head of a request to the end of its response.',
      bounds: LATENCY_BOUNDS_MS,
      samples: series.map(latency),
    });
  }
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
  metric(
    'mesh_telemetry_dropped_total',
    'counter',
    'What telemetry itself had to leave out: more came than could be carried, written or sent.',
    byKey(status.traffic.telemetryDropped, 'what'),
  );
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
  return families;
}

function labelsOf({ direction, source, destination, route, gatewayRoute, subset, tls }: TrafficSeries): Labels {
  const where: Labels =
    direction === 'inbound' ? { subset } : gatewayRoute === '' ? { route } : { route, gateway_route: gatewayRoute };
  return { direction, source, destination, ...where, tls: String(tls) };
}

/** By status class and classification, for gRPC by status. */
function responses(each: TrafficSeries): Sample[] {
  const samples: Sample[] = [];
  const labels = labelsOf(each);
  const { responses: ended, failedByClass, grpcStatuses } = each.totals;
  const add = (classification: string, code: string, grpc: string, value: number) => {
    if (value > 0) {
      samples.push({
        labels: { ...labels, classification, status_code: code, grpc_status_code: grpc },
        value,
        sinceMs: each.sinceMs,
      });
    }
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

function latency(each: TrafficSeries): Distribution {
  const { latency: histogram } = each.totals;
  return {
    labels: labelsOf(each),
    upTo: countsUpTo(histogram, LATENCY_BOUNDS_MS),
    count: histogram.count,
    sum: histogram.sumMs,
    sinceMs: each.sinceMs,
  };
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
