import path from 'node:path';
import type { AccessLogConfig, MeshConfig, OtlpSignal, TelemetryConfig } from './config.ts';
import { ms } from './precedence.ts';
import { REDACTED_FIELDS } from './redact.ts';
import type { AccessLogTarget, OtlpCollector, ResolvedTelemetry, ResolvedTracing } from './resolved.ts';
import { REDACTED_HEADERS } from './tap-filter.ts';

export function resolveTelemetry(config: MeshConfig, baseDir: string): ResolvedTelemetry {
  const { admin, redactHeaders = [], redactFields = [], otlp } = config.telemetry ?? {};
  const { collector, signals } = resolveCollector(otlp);
  return {
    admin: admin ?? null,
    accessLog: resolveAccessLog(config, baseDir),
    redactHeaders: [...new Set([...REDACTED_HEADERS, ...redactHeaders.map((name) => name.toLowerCase())])],
    redactFields: [...new Set([...REDACTED_FIELDS, ...redactFields])],
    otlp:
      collector === null || !signals.includes('metrics')
        ? null
        : { ...collector, intervalMs: ms(otlp?.metricsInterval ?? '10s') },
  };
}

export function resolveTracing({ traces = {}, otlp }: TelemetryConfig): ResolvedTracing {
  const { sample = 1, maxPerSecond = 200, slow = '500ms' } = traces === false ? {} : traces;
  const { collector, signals } = resolveCollector(otlp);
  return {
    traces: traces === false ? null : { headRate: sample, maxPerSecond, slowMs: ms(slow) },
    otlp: signals.includes('traces') ? collector : null,
  };
}

function resolveCollector(otlp: TelemetryConfig['otlp']): {
  collector: OtlpCollector | null;
  signals: readonly OtlpSignal[];
} {
  if (otlp === undefined) return { collector: null, signals: [] };
  const { endpoint, headers, protocol = 'http/protobuf', signals = ['traces', 'metrics'] } = otlp;
  return { collector: { endpoint, headers: { ...headers }, protocol }, signals };
}

/** What a service says wins over what the mesh says, field by field; a `file` of its own also over the mesh's stdout. */
function resolveAccessLog({ telemetry, services }: MeshConfig, baseDir: string): ResolvedTelemetry['accessLog'] {
  const usual: AccessLogTarget = { file: path.resolve(baseDir, '.mesh', 'access.log'), format: 'text' };
  const target = (config: boolean | AccessLogConfig, over: AccessLogTarget): AccessLogTarget | null => {
    if (typeof config === 'boolean') return config ? over : null;
    const { output = config.file === undefined ? undefined : 'file', file, format = over.format } = config;
    if (output === undefined) return { file: over.file, format };
    if (output === 'stdout') return { file: null, format };
    return { file: file === undefined ? (over.file ?? usual.file) : path.resolve(baseDir, file), format };
  };
  const mesh = target(telemetry?.accessLog ?? false, usual);
  const own: Record<string, AccessLogTarget | null> = {};
  for (const [name, { accessLog }] of Object.entries(services)) {
    if (accessLog !== undefined) own[name] = target(accessLog, mesh ?? usual);
  }
  const any = mesh !== null || Object.values(own).some((each) => each !== null);
  return any ? { mesh, services: own } : null;
}
