import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ServiceConfig, TelemetryConfig } from '../../src/model/config.ts';
import { resolveConfig } from '../../src/model/resolve.ts';

const BASE = path.resolve('/shop');
const at = (...parts: string[]) => path.join(BASE, ...parts);

function resolve(telemetry: TelemetryConfig, accessLogs: Record<string, ServiceConfig['accessLog']> = {}) {
  const services = Object.fromEntries(
    ['web', ...Object.keys(accessLogs)].map((name) => [
      name,
      { command: 'x', ...(accessLogs[name] === undefined ? {} : { accessLog: accessLogs[name] }) },
    ]),
  );
  return resolveConfig({ version: 1, name: 'shop', telemetry, services }, { baseDir: BASE });
}

function accessLog(...given: Parameters<typeof resolve>) {
  const result = resolve(...given);
  if (!result.ok) throw new Error(result.problems[0].message);
  return result.value.telemetry.accessLog;
}

describe('access logs', () => {
  const usual = { file: at('.mesh', 'access.log'), format: 'text' };

  it('are none, or one for the mesh', () => {
    expect(accessLog({})).toBeNull();
    expect(accessLog({ accessLog: false })).toBeNull();
    expect(accessLog({ accessLog: true })).toEqual({ mesh: usual, services: {} });
    expect(accessLog({ accessLog: {} })!.mesh).toEqual(usual);
    expect(accessLog({ accessLog: { file: 'logs/a.log', format: 'json' } })!.mesh).toEqual({
      file: at('logs', 'a.log'),
      format: 'json',
    });
    expect(accessLog({ accessLog: { output: 'stdout' } })!.mesh).toEqual({ file: null, format: 'text' });
    expect(accessLog({ accessLog: { output: 'file' } })!.mesh).toEqual(usual);
  });

  it('differ by service, which wins field by field', () => {
    const toStdout: TelemetryConfig = { accessLog: { output: 'stdout', format: 'json' } };
    const own = (log: ServiceConfig['accessLog'], mesh: TelemetryConfig = toStdout) =>
      accessLog(mesh, { api: log })!.services.api;
    expect(own(true)).toEqual({ file: null, format: 'json' });
    expect(own(false)).toBeNull();
    expect(own({ format: 'text' })).toEqual({ file: null, format: 'text' });
    expect(own({ file: 'api.log' })).toEqual({ file: at('api.log'), format: 'json' });
    expect(own({ output: 'file' })).toEqual({ file: usual.file, format: 'json' });
    expect(own({ output: 'stdout' }, { accessLog: true })).toEqual({ file: null, format: 'text' });
    // The mesh has none.
    expect(own(true, {})).toEqual(usual);
    expect(own({ output: 'stdout' }, { accessLog: false })).toEqual({ file: null, format: 'text' });
    expect(accessLog({}, { api: true })!.mesh).toBeNull();
    expect(accessLog({}, { api: false })).toBeNull();
  });

  it('go to one place', () => {
    const both = { output: 'stdout', file: 'a.log' } as const;
    expect(resolve({ accessLog: both }, { api: both })).toMatchObject({
      ok: false,
      problems: [
        { code: 'MESH-T101', path: 'telemetry.accessLog.file' },
        { code: 'MESH-T101', path: 'services.api.accessLog.file' },
      ],
    });
  });

  it('are refused with the values that there are', () => {
    const result = resolve({ accessLog: { output: 'stderr' as never } }, { api: { format: 'xml' as never } });
    if (result.ok) throw new Error('it was taken');
    expect(result.problems.map(({ path: place, message, hint }) => `${place} ${message} ${hint}`)).toEqual([
      expect.stringMatching(/^telemetry\.accessLog\.output .*stdout/),
      expect.stringMatching(/^services\.api\.accessLog\.format .*json/),
    ]);
  });
});

describe('telemetry.otlp', () => {
  const otlp = (settings: object) => {
    const result = resolve({ otlp: { endpoint: 'http://127.0.0.1:4318', ...settings } });
    if (!result.ok) throw new Error(result.problems.map(({ code }) => code).join());
    return { traces: result.value.tracing.otlp, metrics: result.value.telemetry.otlp };
  };
  const collector = { endpoint: 'http://127.0.0.1:4318', headers: {}, protocol: 'http/protobuf' };

  it('takes traces and metrics, or what is asked for', () => {
    expect(otlp({})).toEqual({ traces: collector, metrics: { ...collector, intervalMs: 10_000 } });
    expect(otlp({ signals: ['traces'] })).toEqual({ traces: collector, metrics: null });
    expect(otlp({ signals: ['metrics'], metricsInterval: '2s' })).toEqual({
      traces: null,
      metrics: { ...collector, intervalMs: 2_000 },
    });
  });

  it('refuses no signals, unknown ones and intervals that would be all it does', () => {
    expect(() => otlp({ signals: [] })).toThrow(/MESH-C1/);
    expect(() => otlp({ signals: ['logs'] })).toThrow(/MESH-C104/);
    expect(() => otlp({ metricsInterval: '10ms' })).toThrow(/MESH-C1/);
  });
});
