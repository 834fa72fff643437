import { boolAttribute, intAttribute, type KeyValue, type Scope, stringAttribute, unixNano } from '../../model/otlp.ts';
import {
  CUMULATIVE,
  type HistogramDataPoint,
  type Metric,
  type NumberDataPoint,
  pointsOf,
  type ResourceMetrics,
} from '../../model/otlp-metrics.ts';
import {
  DURATION_BOUNDS_S,
  DURATION_SUM,
  type DurationKey,
  durationKey,
} from '../../proxy/telemetry/http-durations.ts';
import { type Distribution, type Exposition, type Labels, type MetricFamily, metricFamilies } from './metrics.ts';
import type { TrafficSeries } from './traffic-history.ts';

/** By it what proxies measured is told from what services send themselves. */
export const METRICS_SCOPE: Scope = { name: 'localmesh.proxy' };

/** Port that a service is called at by its name in the mesh: `http://orders/`. */
const SERVICE_PORT = 80;

/**
 * What `/metrics` shows as OTLP, as a resource of the mesh's own, and `http.server.request.duration` and
 * `http.client.request.duration` as OpenTelemetry's semantic conventions for HTTP want them: as if each service had
 * measured itself, the called ones as servers, callers and the gateway as clients. Everything is cumulative.
 * @param nowMs milliseconds since the epoch
 */
export function otlpMetrics(exposition: Exposition, nowMs: number): ResourceMetrics[] {
  const time = unixNano(nowMs);
  const { mesh } = exposition.status;
  const startedAt = unixNano(exposition.process.startedAt * 1_000);
  const own = metricFamilies(exposition).map((family) => metricOf(family, startedAt, time));
  return [
    resourceMetrics('localmesh', mesh, own),
    ...[...durationsByService(exposition.series, time)].map(([service, { server, client }]) =>
      resourceMetrics(service, mesh, [
        ...durations('http.server.request.duration', 'Duration of HTTP server requests.', server),
        ...durations('http.client.request.duration', 'Duration of HTTP client requests.', client),
      ]),
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

interface ServiceDurations {
  server: HistogramDataPoint[];
  client: HistogramDataPoint[];
}

function durationsByService(series: readonly TrafficSeries[], time: string): Map<string, ServiceDurations> {
  const services = new Map<string, ServiceDurations>();
  for (const each of series) {
    const server = each.direction === 'inbound';
    const service = server ? each.destination : each.source;
    let of = services.get(service);
    if (of === undefined) services.set(service, (of = { server: [], client: [] }));
    const points = server ? of.server : of.client;
    for (const [key, numbers] of each.totals.durations)
      points.push(durationPoint(each, durationKey(key), numbers, time));
  }
  return services;
}

function durations(name: string, description: string, dataPoints: HistogramDataPoint[]): Metric[] {
  if (dataPoints.length === 0) return [];
  return [{ name, description, unit: 's', histogram: { dataPoints, aggregationTemporality: CUMULATIVE } }];
}

function durationPoint(
  series: TrafficSeries,
  key: DurationKey | null,
  numbers: readonly number[],
  time: string,
): HistogramDataPoint {
  const counts = numbers.slice(0, DURATION_SUM);
  return {
    attributes: httpAttributes(series, key),
    startTimeUnixNano: unixNano(series.sinceMs),
    timeUnixNano: time,
    count: String(counts.reduce((sum, n) => sum + n, 0)),
    sum: numbers[DURATION_SUM] / 1_000,
    bucketCounts: counts.map(String),
    explicitBounds: [...DURATION_BOUNDS_S],
  };
}

function httpAttributes(series: TrafficSeries, key: DurationKey | null): KeyValue[] {
  const { direction, source, destination, route, gatewayRoute, subset, tls } = series;
  const server = direction === 'inbound';
  const list: KeyValue[] = [];
  const text = (name: string, value: string): void => {
    if (value !== '') list.push(stringAttribute(name, value));
  };
  if (key === null) list.push(boolAttribute('otel.metric.overflow', true));
  else {
    text('http.request.method', key.method);
    if (key.status > 0) list.push(intAttribute('http.response.status_code', key.status));
    text('error.type', errorType(key, server));
  }
  // The application is spoken to without TLS; that of the mesh is between the proxies.
  text('url.scheme', 'http');
  if (!server && destination !== '') {
    text('server.address', destination);
    list.push(intAttribute('server.port', SERVICE_PORT));
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
