import path from 'node:path';
import Long from 'long';
import protobuf from 'protobufjs';
import type { OtlpLogRecord, OtlpSpan, ResourceLogs, ResourceSpans } from '../../model/otlp.ts';
import type { ResourceMetrics } from '../../model/otlp-metrics.ts';
import { packageRoot } from '../control/package-root.ts';

/** Files of `proto/opentelemetry/proto/` that name everything else. */
const FILES = ['trace', 'logs', 'metrics'].map((signal) => `collector/${signal}/v1/${signal}_service.proto`);

export type Signal = 'traces' | 'logs' | 'metrics';

/** A partial success of zero and without text says that everything was taken. */
export interface PartialSuccess {
  rejected: number;
  message: string;
}

/** OTLP as bytes and as JSON, to and from the one form that the rest works with. Throws on what is neither. */
export interface OtlpCodec {
  decodeSpans(bytes: Uint8Array): ResourceSpans[];
  decodeLogs(bytes: Uint8Array): ResourceLogs[];
  /** From what `JSON.parse` returned. */
  spansFromJson(json: unknown): ResourceSpans[];
  logsFromJson(json: unknown): ResourceLogs[];
  encodeSpans(resourceSpans: readonly ResourceSpans[]): Buffer;
  encodeLogs(resourceLogs: readonly ResourceLogs[]): Buffer;
  encodeMetrics(resourceMetrics: readonly ResourceMetrics[]): Buffer;
  encodeReply(signal: Signal, partial: PartialSuccess): Buffer;
  decodeReply(signal: Signal, bytes: Uint8Array): PartialSuccess;
}

const REJECTED: Readonly<Record<Signal, string>> = {
  traces: 'rejectedSpans',
  logs: 'rejectedLogRecords',
  metrics: 'rejectedDataPoints',
};
const SERVICE: Readonly<Record<Signal, string>> = {
  traces: 'trace.v1.ExportTrace',
  logs: 'logs.v1.ExportLogs',
  metrics: 'metrics.v1.ExportMetrics',
};

/** Reads the definitions from `proto/`; some 10 ms, so once for a process. */
export function loadOtlpCodec(): OtlpCodec {
  // protobufjs looks for this package by a name that no bundler sees; without it 64-bit numbers lose their last digits.
  protobuf.util.Long = Long;
  protobuf.configure();
  const directory = path.join(packageRoot(), 'proto');
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => path.join(directory, target);
  root.loadSync([...FILES, 'metrics/v1/metrics.proto'].map((file) => `opentelemetry/proto/${file}`));
  const type = (name: string) => root.lookupType(`opentelemetry.proto.${name}`);
  const traces = type('trace.v1.TracesData');
  const logs = type('logs.v1.LogsData');
  const metrics = type('metrics.v1.MetricsData');
  const reply = (signal: Signal) => type(`collector.${SERVICE[signal]}ServiceResponse`);
  const replies = { traces: reply('traces'), logs: reply('logs'), metrics: reply('metrics') };
  const plain = (of: protobuf.Type, message: protobuf.Message) =>
    of.toObject(message, { longs: String, bytes: String });

  const spansOf = (message: protobuf.Message): ResourceSpans[] => {
    const { resourceSpans = [] } = plain(traces, message) as { resourceSpans?: ResourceSpans[] };
    eachSpan(resourceSpans, (span) => convertSpanIds(span, base64ToHex));
    return resourceSpans;
  };
  const logsOf = (message: protobuf.Message): ResourceLogs[] => {
    const { resourceLogs = [] } = plain(logs, message) as { resourceLogs?: ResourceLogs[] };
    eachLog(resourceLogs, (log) => convertIds(log, base64ToHex));
    return resourceLogs;
  };

  return {
    decodeSpans: (bytes) => spansOf(traces.decode(bytes)),
    decodeLogs: (bytes) => logsOf(logs.decode(bytes)),
    spansFromJson(json) {
      const data = structuredClone(objectOf(json)) as { resourceSpans?: ResourceSpans[] };
      eachSpan(data.resourceSpans ?? [], (span) => convertSpanIds(span, hexToBase64));
      return spansOf(traces.fromObject(data));
    },
    logsFromJson(json) {
      const data = structuredClone(objectOf(json)) as { resourceLogs?: ResourceLogs[] };
      eachLog(data.resourceLogs ?? [], (log) => convertIds(log, hexToBase64));
      return logsOf(logs.fromObject(data));
    },
    encodeSpans: (resourceSpans) =>
      bufferOf(traces.encode({ resourceSpans: resourceSpans.map((each) => withBinaryIds(each)) } as never).finish()),
    encodeLogs: (resourceLogs) =>
      bufferOf(
        logs
          .encode({
            resourceLogs: resourceLogs.map((resource) => ({
              ...resource,
              scopeLogs: (resource.scopeLogs ?? []).map((scope) => ({
                ...scope,
                logRecords: (scope.logRecords ?? []).map((log) => binaryIds({ ...log })),
              })),
            })),
          } as never)
          .finish(),
      ),
    // No IDs in it, and 64-bit numbers may be text.
    encodeMetrics: (resourceMetrics) => bufferOf(metrics.encode({ resourceMetrics } as never).finish()),
    encodeReply(signal, { rejected, message }) {
      if (rejected === 0 && message === '') return Buffer.alloc(0);
      const partialSuccess = { [REJECTED[signal]]: rejected, errorMessage: message };
      return bufferOf(replies[signal].encode({ partialSuccess } as never).finish());
    },
    decodeReply(signal, bytes) {
      const { partialSuccess = {} } = plain(replies[signal], replies[signal].decode(bytes)) as {
        partialSuccess?: Record<string, string>;
      };
      return { rejected: Number(partialSuccess[REJECTED[signal]] ?? 0), message: partialSuccess.errorMessage ?? '' };
    },
  };
}

/** A reply in its JSON form. */
export function replyToJson(signal: Signal, { rejected, message }: PartialSuccess): object {
  if (rejected === 0 && message === '') return {};
  return { partialSuccess: { [REJECTED[signal]]: String(rejected), errorMessage: message } };
}

/** The same the other way round. */
export function partialFromJson(signal: Signal, json: unknown): PartialSuccess {
  const { partialSuccess = {} } = objectOf(json) as { partialSuccess?: Record<string, string> };
  return { rejected: Number(partialSuccess[REJECTED[signal]] ?? 0), message: partialSuccess.errorMessage ?? '' };
}

export function eachSpan(resourceSpans: readonly ResourceSpans[], use: (span: OtlpSpan) => void): void {
  for (const resource of resourceSpans) {
    for (const scope of resource.scopeSpans ?? []) for (const span of scope.spans ?? []) use(span);
  }
}

export function eachLog(resourceLogs: readonly ResourceLogs[], use: (log: OtlpLogRecord) => void): void {
  for (const resource of resourceLogs) {
    for (const scope of resource.scopeLogs ?? []) for (const log of scope.logRecords ?? []) use(log);
  }
}

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function objectOf(json: unknown): object {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new TypeError('expected a JSON object');
  return json;
}

interface WithIds {
  traceId?: unknown;
  spanId?: unknown;
  parentSpanId?: unknown;
}

const ID_FIELDS = ['traceId', 'spanId', 'parentSpanId'] as const;

function convertIds(holder: object, convert: (id: string) => string): void {
  const ids = holder as WithIds;
  for (const field of ID_FIELDS) if (typeof ids[field] === 'string') ids[field] = convert(ids[field]);
}

function convertSpanIds(span: OtlpSpan, convert: (id: string) => string): void {
  convertIds(span, convert);
  for (const link of span.links ?? []) convertIds(link, convert);
}

const base64ToHex = (id: string): string => Buffer.from(id, 'base64').toString('hex');

function hexToBase64(id: string): string {
  if (!/^([0-9a-fA-F]{2})*$/.test(id)) throw new TypeError(`not hexadecimal: ${id.slice(0, 40)}`);
  return Buffer.from(id, 'hex').toString('base64');
}

/** The encoder wants bytes for IDs and takes text for 64-bit numbers, so nothing else is copied. */
function binaryIds(holder: object): object {
  const ids = holder as WithIds;
  for (const field of ID_FIELDS) if (typeof ids[field] === 'string') ids[field] = Buffer.from(ids[field], 'hex');
  return holder;
}

function withBinaryIds(resource: ResourceSpans): object {
  return {
    ...resource,
    scopeSpans: (resource.scopeSpans ?? []).map((scope) => ({
      ...scope,
      spans: (scope.spans ?? []).map((span) => {
        const copy = { ...span } as { links?: object[] };
        if (span.links !== undefined) copy.links = span.links.map((link) => binaryIds({ ...link }));
        return binaryIds(copy);
      }),
    })),
  };
}
