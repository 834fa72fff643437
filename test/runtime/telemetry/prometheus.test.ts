import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { type CounterKey, countEnd, countStart, createCounters } from '../../../src/proxy/telemetry/counters.ts';
import type { Exposition } from '../../../src/runtime/telemetry/metrics.ts';
import { renderMetrics } from '../../../src/runtime/telemetry/prometheus.ts';
import { createTrafficHistory } from '../../../src/runtime/telemetry/traffic-history.ts';
import { ordersCertificate, shopStatus } from '../control/fake-mesh.ts';
import { parseMetrics } from './prometheus-parser.ts';

const KEY: CounterKey = {
  source: 'web',
  destination: 'orders',
  route: 'a"b\\c\nd',
  gatewayRoute: '',
  direction: 'outbound',
  instance: 'web-1',
  tls: true,
};

function exposition(): Exposition {
  const counters = createCounters();
  const end = (key: CounterKey, status: number, grpcStatus: number, broken = false, ms = 7) => {
    const slot = counters.slot(key);
    countStart(slot);
    countEnd(slot, status, grpcStatus, broken, ms, 1);
  };
  end(KEY, 200, -1);
  end(KEY, 404, -1);
  end(KEY, 503, -1);
  end(KEY, 200, -1, true, 60_000);
  end(KEY, 0, -1, true);
  end(KEY, 0, -1);
  const grpc: CounterKey = { ...KEY, route: 'grpc' };
  end(grpc, 200, 0);
  end(grpc, 200, 0);
  end(grpc, 200, 14);
  end(grpc, 200, 5);
  end(grpc, 200, 99);
  end(grpc, 502, -1);
  end({ ...KEY, direction: 'inbound', route: '', instance: 'orders-1' }, 200, -1);
  const history = createTrafficHistory({ now: () => 0, subsetOf: () => 'stable' });
  history.fold(0, counters.snapshot('all'));
  const status = shopStatus();
  status.traffic = { ...status.traffic, flags: { UH: 2 }, refusedPeers: { expired: 1 } };
  return {
    series: history.series(),
    status,
    certificates: [ordersCertificate],
    connections: [{ 'inbound orders': 2, 'outbound gateway': 1 }, { 'inbound orders': 1 }],
    process: { startedAt: 1_780_000_000.5, residentBytes: 1024, cpuSeconds: 0.25 },
  };
}

describe('metrics', () => {
  const text = renderMetrics(exposition());

  it('are in the text format, with the names of the field', () => {
    const metrics = parseMetrics(text);
    expect([...metrics].map(([name, { type }]) => `${name} ${type}`)).toEqual(
      expect.arrayContaining([
        'request_total counter',
        'response_total counter',
        'response_latency_ms histogram',
        'tcp_open_connections gauge',
        'identity_cert_expiration_timestamp_seconds gauge',
        'process_start_time_seconds gauge',
      ]),
    );
    const request = metrics.get('request_total')!.samples[0];
    expect(request).toEqual({
      name: 'request_total',
      labels: { direction: 'outbound', source: 'web', destination: 'orders', route: 'a"b\\c\nd', tls: 'true' },
      value: 6,
    });
    expect(metrics.get('tcp_open_connections')!.samples).toEqual([
      { name: 'tcp_open_connections', labels: { direction: 'inbound', service: 'orders' }, value: 3 },
      { name: 'tcp_open_connections', labels: { direction: 'outbound', service: 'gateway' }, value: 1 },
    ]);
    expect(metrics.get('identity_cert_expiration_timestamp_seconds')!.samples[0]).toMatchObject({
      labels: { service: 'orders' },
      value: Date.parse(ordersCertificate.notAfter) / 1_000,
    });
    expect(metrics.get('service_instance_up')!.samples.map(({ labels, value }) => [labels.instance, value])).toEqual([
      ['inventory-1', 1],
      ['orders-1', 0],
    ]);
  });

  it('split responses by classification and status, for gRPC by its own', () => {
    const samples = parseMetrics(text).get('response_total')!.samples;
    const of = (route: string) =>
      samples
        .filter(({ labels }) => labels.route === route)
        .map(
          ({ labels, value }) => `${labels.classification} ${labels.status_code} ${labels.grpc_status_code} ${value}`,
        )
        .sort();
    expect(of(KEY.route)).toEqual([
      'failure 0  1',
      'failure 2xx  1',
      'failure 5xx  1',
      'success 0  1',
      'success 2xx  1',
      'success 4xx  1',
    ]);
    expect(of('grpc')).toEqual([
      'failure 2xx 14 1',
      'failure 2xx unknown 1',
      'failure 5xx  1',
      'success 2xx 0 2',
      'success 2xx 5 1',
    ]);
  });

  it('put a latency into the buckets above it', () => {
    const buckets = parseMetrics(text)
      .get('response_latency_ms')!
      .samples.filter(({ name, labels }) => name.endsWith('_bucket') && labels.route === KEY.route)
      .map(({ labels, value }) => [labels.le, value]);
    expect(buckets).toContainEqual(['5', 0]);
    expect(buckets).toContainEqual(['10', 3]);
    expect(buckets).toContainEqual(['50000', 3]);
    expect(buckets).toContainEqual(['+Inf', 4]);
  });

  it('name no path and no authority', () => {
    expect(text).not.toMatch(/(path|authority|host)=/);
  });

  it('are there before there is any traffic', () => {
    const metrics = parseMetrics(renderMetrics({ ...exposition(), series: [], certificates: [], connections: [] }));
    expect(metrics.has('process_start_time_seconds')).toBe(true);
    expect(metrics.has('request_total')).toBe(false);
  });

  it('are refused by the parser of this test where they are wrong', () => {
    for (const wrong of [
      'a 1',
      '# HELP a b\n# TYPE a counter\na{x="1",} 1\n',
      '# HELP a b\n# TYPE a counter\na{x="\\t"} 1\n',
      '# HELP a b\n# TYPE a counter\na 1\na 2\n',
    ]) {
      expect(() => parseMetrics(wrong)).toThrow();
    }
  });

  const promtool = spawnSync('promtool', ['--version']).error === undefined;
  it.skipIf(!promtool)(promtool ? 'pass promtool' : 'pass promtool (skipped: no promtool)', () => {
    const { stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    // Remarks on names (a unit other than the base one) are no errors of format.
    expect(stderr).not.toContain('error while linting');
  });
});
