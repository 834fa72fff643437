import { boolAttribute, intAttribute, type KeyValue, type Scope, stringAttribute, unixNano } from '../../model/otlp.ts';
import {
  CUMULATIVE,
  type HistogramDataPoint,
  type Metric,
  type NumberDataPoint,
  pointsOf,
  type ResourceMetrics,
} from '../../model/otlp-metrics.ts';
import { grpcCodeName, isGrpcError } from '../../model/proxy-span.ts';
import {
  DURATION_BOUNDS_S,
  DURATION_SUM,
  type DurationKey,
  durationKey,
  GRPC_CALL,
} from '../../proxy/telemetry/http-durations.ts';
import { type Distribution, type Exposition, type Labels, type MetricFamily, metricFamilies } from './metrics.ts';
import type { TrafficSeries } from './traffic-history.ts';

/** By it what proxies measured is told from what services send themselves. */
export const METRICS_SCOPE: Scope = { name: 'localmesh.proxy' };

/** Port that a service of the mesh is called at by its name: `http://orders/`. */
const SERVICE_PORT = 80;

/**
 * What `/metrics` shows as OTLP, as a resource of the mesh's own, and `http.server.request.duration` and
 * `http.client.request.duration` as OpenTelemetry's semantic conventions for HTTP want them, with `rpc.server.call.duration`
 * and `rpc.client.call.duration` for gRPC: as if each service had measured itself, the called ones as servers, callers
 * and the gateway as clients. Everything is cumulative.
 * @param nowMs milliseconds since the epoch
 */
export function otlpMetrics(exposition: Exposition, nowMs: number): ResourceMetrics[] {
  const time = unixNano(nowMs);
  const { mesh } = exposition.status;
  const startedAt = unixNano(exposition.process.startedAt * 1_000);
  const own = metricFamilies(exposition).map((family) => metricOf(family, startedAt, time));
  return [
    resourceMetrics('localmesh', mesh, own),
    ...[...durationsByService(exposition, time)].map(([service, points]) =>
      resourceMetrics(
        service,
        mesh,
        DURATIONS.flatMap((name) => durations(name, points[name])),
      ),
    ),
  ];
}

/** In parts of at most so many points, since collectors refuse messages beyond some size. */
export function* inParts(data: readonly ResourceMetrics[], mostPoints: number): Generator<ResourceMetrics[]> {
  let part: ResourceMetrics[] = [];
  let points = 0;
  for (const { resource, scopeMetrics } of data) {
    for (const { scope, metrics } of scopeMetrics) {
      for (const metric of metrics) {
        const all = pointsOf(metric);
        for (let from = 0; from < all.length; ) {
          const to = Math.min(all.length, from + mostPoints - points);
          const some = from === 0 && to === all.length ? metric : withPoints(metric, all.slice(from, to));
          part.push({ resource, scopeMetrics: [{ scope, metrics: [some] }] });
          points += to - from;
          from = to;
          if (points < mostPoints) continue;
          yield part;
          part = [];
          points = 0;
        }
      }
    }
  }
  if (part.length > 0) yield part;
}

function withPoints(metric: Metric, dataPoints: readonly (NumberDataPoint | HistogramDataPoint)[]): Metric {
  const { sum, gauge, histogram, ...rest } = metric;
  const points = dataPoints as never[];
  if (sum !== undefined) return { ...rest, sum: { ...sum, dataPoints: points } };
  if (gauge !== undefined) return { ...rest, gauge: { dataPoints: points } };
  return { ...rest, histogram: { ...histogram!, dataPoints: points } };
}

const resourceMetrics = (service: string, mesh: string, metrics: Metric[]): ResourceMetrics => ({
  resource: { attributes: [stringAttribute('service.name', service), stringAttribute('mesh.name', mesh)] },
  scopeMetrics: [{ scope: METRICS_SCOPE, metrics }],
});

function metricOf(family: MetricFamily, startedAt: string, time: string): Metric {
  const { name, help: description } = family;
  if (family.type === 'histogram') {
    const dataPoints = family.samples.map((sample) => distributionPoint(sample, family.bounds, time));
    return { name, description, histogram: { dataPoints, aggregationTemporality: CUMULATIVE } };
  }
  const dataPoints = family.samples.map(({ labels, value, sinceMs }) => ({
    attributes: attributesOf(labels),
    ...(family.type === 'gauge' ? {} : { startTimeUnixNano: sinceMs === undefined ? startedAt : unixNano(sinceMs) }),
    timeUnixNano: time,
    asDouble: value,
  }));
  if (family.type === 'gauge') return { name, description, gauge: { dataPoints } };
  return { name, description, sum: { dataPoints, aggregationTemporality: CUMULATIVE, isMonotonic: true } };
}

const attributesOf = (labels: Labels): KeyValue[] =>
  Object.entries(labels).map(([key, value]) => stringAttribute(key, value));

function distributionPoint(
  { labels, upTo, count, sum, sinceMs }: Distribution,
  bounds: readonly number[],
  time: string,
): HistogramDataPoint {
  const bucketCounts = [...upTo, count].map((n, i) => String(n - (i === 0 ? 0 : upTo[i - 1])));
  return {
    attributes: attributesOf(labels),
    startTimeUnixNano: unixNano(sinceMs),
    timeUnixNano: time,
    count: String(count),
    sum,
    bucketCounts,
    explicitBounds: [...bounds],
  };
}

const DESCRIPTIONS = {
  'http.server.request.duration': 'Duration of HTTP server requests.',
  'http.client.request.duration': 'Duration of HTTP client requests.',
  'rpc.server.call.duration': 'Duration of incoming gRPC calls.',
  'rpc.client.call.duration': 'Duration of outgoing gRPC calls.',
} as const;
type DurationName = keyof typeof DESCRIPTIONS;
const DURATIONS = Object.keys(DESCRIPTIONS) as DurationName[];

type ServiceDurations = Record<DurationName, HistogramDataPoint[]>;

function durationsByService({ series, status }: Exposition, time: string): Map<string, ServiceDurations> {
  const services = new Map<string, ServiceDurations>();
  // Those outside have a port of their own, which is their only instance's.
  const ports = new Map(
    status.services.map(({ name, external, instances }) => [name, external ? instances[0]?.appPort : null]),
  );
  for (const each of series) {
    const server = each.direction === 'inbound';
    const service = server ? each.destination : each.source;
    let of = services.get(service);
    if (of === undefined)
      services.set(
        service,
        (of = Object.fromEntries(DURATIONS.map((name) => [name, []])) as unknown as ServiceDurations),
      );
    const port = ports.get(each.destination) ?? SERVICE_PORT;
    for (const [number, numbers] of each.totals.durations) {
      const key = durationKey(number);
      const side = server ? 'server' : 'client';
      const name =
        key?.method === GRPC_CALL ? (`rpc.${side}.call.duration` as const) : (`http.${side}.request.duration` as const);
      of[name].push(durationPoint(each, key, port, numbers, time));
    }
  }
  return services;
}

function durations(name: DurationName, dataPoints: HistogramDataPoint[]): Metric[] {
  if (dataPoints.length === 0) return [];
  const description = DESCRIPTIONS[name];
  return [{ name, description, unit: 's', histogram: { dataPoints, aggregationTemporality: CUMULATIVE } }];
}

function durationPoint(
  series: TrafficSeries,
  key: DurationKey | null,
  port: number,
  numbers: readonly number[],
  time: string,
): HistogramDataPoint {
  const counts = numbers.slice(0, DURATION_SUM);
  return {
    attributes: callAttributes(series, key, port),
    startTimeUnixNano: unixNano(series.sinceMs),
    timeUnixNano: time,
    count: String(counts.reduce((sum, n) => sum + n, 0)),
    sum: numbers[DURATION_SUM] / 1_000,
    bucketCounts: counts.map(String),
    explicitBounds: [...DURATION_BOUNDS_S],
  };
}

/** @param port of the called service */
function callAttributes(series: TrafficSeries, key: DurationKey | null, port: number): KeyValue[] {
  const { direction, source, destination, route, gatewayRoute, subset, tls } = series;
  const server = direction === 'inbound';
  const list: KeyValue[] = [];
  const text = (name: string, value: string): void => {
    if (value !== '') list.push(stringAttribute(name, value));
  };
  if (key === null) list.push(boolAttribute('otel.metric.overflow', true));
  else if (key.method === GRPC_CALL) {
    text('rpc.system.name', 'grpc');
    text('rpc.response.status_code', grpcCodeName(key.status));
    if (isGrpcError(key.status, server)) text('error.type', grpcCodeName(key.status));
  } else {
    text('http.request.method', key.method);
    if (key.status > 0) list.push(intAttribute('http.response.status_code', key.status));
    text('error.type', errorType(key, server));
  }
  // The application is spoken to without TLS; that of the mesh is between the proxies.
  if (key?.method !== GRPC_CALL) text('url.scheme', 'http');
  if (!server && destination !== '') {
    text('server.address', destination);
    list.push(intAttribute('server.port', port));
  }
  text(server ? 'mesh.source' : 'mesh.destination', server ? source : destination);
  text('mesh.subset', subset);
  text('mesh.route', route);
  text('mesh.gateway_route', gatewayRoute);
  list.push(boolAttribute('mesh.tls', tls));
  return list;
}

/** As of spans: a client's mistake (4xx) is an error for the client only. Who went away had no answer, and no complaint. */
function errorType({ status, broken }: DurationKey, server: boolean): string {
  if (status >= (server ? 500 : 400)) return String(status);
  if (broken) return '_OTHER';
  return status === 0 ? 'cancelled' : '';
}
