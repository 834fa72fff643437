import { describe, expect, it } from 'vitest';
import { resolveConfig } from '../../src/model/resolve.ts';

const resolve = (telemetry: unknown) =>
  resolveConfig(
    {
      version: 1,
      name: 'shop',
      services: { web: { command: 'web' } },
      ...(telemetry === undefined ? {} : { telemetry }),
    },
    { baseDir: '/shop' },
  );
const tracing = (telemetry?: unknown) => {
  const result = resolve(telemetry);
  if (!result.ok) throw new Error(result.problems[0].message);
  return result.value.tracing;
};

describe('telemetry.traces and telemetry.otlp', () => {
  it('are on, bounded and not exported unless said otherwise', () => {
    const usual = { headRate: 1, maxPerSecond: 200, slowMs: 500 };
    expect(tracing()).toEqual({ traces: usual, otlp: null });
    expect(tracing({ traces: {} })).toEqual({ traces: usual, otlp: null });
    expect(tracing({ traces: false })).toEqual({ traces: null, otlp: null });
    expect(tracing({ traces: { sample: 0.25, maxPerSecond: 0, slow: '2s' } }).traces).toEqual({
      headRate: 0.25,
      maxPerSecond: 0,
      slowMs: 2_000,
    });
    expect(tracing({ otlp: { endpoint: 'http://127.0.0.1:4318' } }).otlp).toEqual({
      endpoint: 'http://127.0.0.1:4318',
      headers: {},
      protocol: 'http/protobuf',
    });
    expect(
      tracing({ otlp: { endpoint: 'https://x/otlp', protocol: 'grpc', headers: { 'api-key': 'k' } } }).otlp,
    ).toMatchObject({
      protocol: 'grpc',
      headers: { 'api-key': 'k' },
    });
  });

  it.each<[unknown, string, string]>([
    [{ traces: true }, 'telemetry.traces', 'MESH-C102'],
    [{ traces: { sample: 2 } }, 'telemetry.traces.sample', 'MESH-C107'],
    [{ traces: { slow: '500' } }, 'telemetry.traces.slow', 'MESH-C105'],
    [{ traces: { rate: 1 } }, 'telemetry.traces.rate', 'MESH-C101'],
    [{ otlp: {} }, 'telemetry.otlp.endpoint', 'MESH-C103'],
    [{ otlp: { endpoint: '127.0.0.1:4318' } }, 'telemetry.otlp.endpoint', 'MESH-C122'],
    [{ otlp: { endpoint: 'http://x/?a=b' } }, 'telemetry.otlp.endpoint', 'MESH-C122'],
    [{ otlp: { endpoint: 'http://x', protocol: 'http' } }, 'telemetry.otlp.protocol', 'MESH-C104'],
    [{ otlp: { endpoint: 'http://x', headers: { 'bad name': 'x' } } }, 'telemetry.otlp.headers', 'MESH-C111'],
  ])('refuse %j', (telemetry, path, code) => {
    const result = resolve(telemetry);
    expect(result.ok).toBe(false);
    expect(result.ok ? [] : result.problems).toEqual([
      expect.objectContaining({ code, path: expect.stringContaining(path) }),
    ]);
  });
});
