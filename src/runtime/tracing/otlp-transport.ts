import http from 'node:http';
import https from 'node:https';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { Client, credentials, status as grpcStatus, Metadata } from '@grpc/grpc-js';
import type { ResourceSpans } from '../../model/otlp.ts';
import type { ResourceMetrics } from '../../model/otlp-metrics.ts';
import type { OtlpCollector } from '../../model/resolved.ts';
import { type OtlpCodec, type PartialSuccess, partialFromJson, type Signal } from './otlp-codec.ts';

/** What became of one request. */
export type Delivery =
  /** `rejected`: items that the collector did not take, with its words. */
  | { kind: 'taken'; rejected: number; message: string }
  /** Worth another try. `afterMs`: not before that, as the collector asks; null: it does not say. */
  | { kind: 'later'; reason: string; afterMs: number | null }
  /** Will be refused whenever it is sent. */
  | { kind: 'refused'; reason: string };

/** Carries data of one signal to a collector. Throws only for what cannot be encoded. */
export interface OtlpTransport<Data> {
  send(data: Data[], signal: AbortSignal): Promise<Delivery>;
  close(): void;
}

/** A signal as it is written in a request. */
export interface OtlpPayload<Data> {
  readonly signal: Signal;
  readonly grpcMethod: string;
  json(data: readonly Data[]): object;
  encode(codec: OtlpCodec, data: readonly Data[]): Buffer;
}

export const SPANS: OtlpPayload<ResourceSpans> = {
  signal: 'traces',
  grpcMethod: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  json: (resourceSpans) => ({ resourceSpans }),
  encode: (codec, spans) => codec.encodeSpans(spans),
};

export const METRICS: OtlpPayload<ResourceMetrics> = {
  signal: 'metrics',
  grpcMethod: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
  json: (resourceMetrics) => ({ resourceMetrics }),
  encode: (codec, metrics) => codec.encodeMetrics(metrics),
};

/** Of a collector's answer. */
const MOST_REPLY_BYTES = 64 * 1024;
/** Statuses that the specification calls worth another try. */
const RETRYABLE_HTTP: ReadonlySet<number> = new Set([429, 502, 503, 504]);
const RETRYABLE_GRPC: ReadonlySet<number> = new Set([
  grpcStatus.CANCELLED,
  grpcStatus.DEADLINE_EXCEEDED,
  grpcStatus.RESOURCE_EXHAUSTED,
  grpcStatus.ABORTED,
  grpcStatus.OUT_OF_RANGE,
  grpcStatus.UNAVAILABLE,
  grpcStatus.DATA_LOSS,
]);
const gzip = promisify(zlib.gzip);

/** @param codec loaded when something is sent */
export function openTransport<Data>(
  address: Readonly<OtlpCollector>,
  payload: OtlpPayload<Data>,
  codec: () => OtlpCodec,
): OtlpTransport<Data> {
  return address.protocol === 'grpc' ? grpcTransport(address, payload, codec) : httpTransport(address, payload, codec);
}

function httpTransport<Data>(
  { endpoint, headers, protocol }: Readonly<OtlpCollector>,
  payload: OtlpPayload<Data>,
  codec: () => OtlpCodec,
): OtlpTransport<Data> {
  const url = new URL(endpoint);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/v1/${payload.signal}`;
  const { request, Agent } = url.protocol === 'https:' ? https : http;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const json = protocol === 'http/json';
  return {
    async send(data, signal) {
      const body = await gzip(json ? JSON.stringify(payload.json(data)) : payload.encode(codec(), data));
      return new Promise<Delivery>((resolve) => {
        const later = (error: Error): void => resolve({ kind: 'later', reason: reasonOf(error), afterMs: null });
        const call = request(url, {
          method: 'POST',
          agent,
          signal,
          headers: {
            'content-type': json ? 'application/json' : 'application/x-protobuf',
            'content-encoding': 'gzip',
            'content-length': body.length,
            'user-agent': 'localmesh',
            ...headers,
          },
        });
        call.on('error', later);
        call.on('response', (response) => {
          const chunks: Buffer[] = [];
          let bytes = 0;
          response.on('data', (chunk: Buffer) => {
            bytes += chunk.length;
            if (bytes <= MOST_REPLY_BYTES) chunks.push(chunk);
          });
          response.on('error', later);
          response.on('end', () =>
            resolve(
              deliveryOf(response, bytes > MOST_REPLY_BYTES ? null : Buffer.concat(chunks), payload.signal, codec),
            ),
          );
        });
        call.end(body);
      });
    },
    close: () => agent.destroy(),
  };
}

function deliveryOf(
  response: http.IncomingMessage,
  body: Buffer | null,
  signal: Signal,
  codec: () => OtlpCodec,
): Delivery {
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) {
    try {
      const type = response.headers['content-type'] ?? '';
      return {
        kind: 'taken',
        ...partialOf(body ?? Buffer.alloc(0), type.startsWith('application/json'), signal, codec),
      };
    } catch {
      // It has said yes; what else it says cannot be read.
      return { kind: 'taken', rejected: 0, message: '' };
    }
  }
  const reason = `it answers ${status} ${response.statusMessage ?? ''}`.trim();
  if (!RETRYABLE_HTTP.has(status)) return { kind: 'refused', reason };
  const seconds = Number(response.headers['retry-after']);
  return { kind: 'later', reason, afterMs: Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : null };
}

function partialOf(body: Buffer, json: boolean, signal: Signal, codec: () => OtlpCodec): PartialSuccess {
  if (body.length === 0) return { rejected: 0, message: '' };
  return json ? partialFromJson(signal, JSON.parse(body.toString('utf8'))) : codec().decodeReply(signal, body);
}

function grpcTransport<Data>(
  { endpoint, headers }: Readonly<OtlpCollector>,
  payload: OtlpPayload<Data>,
  codec: () => OtlpCodec,
): OtlpTransport<Data> {
  const url = new URL(endpoint);
  const secure = url.protocol === 'https:';
  const client = new Client(
    url.port === '' ? `${url.hostname}:${secure ? 443 : 80}` : url.host,
    secure ? credentials.createSsl() : credentials.createInsecure(),
    { 'grpc.enable_http_proxy': 0, 'grpc.default_compression_algorithm': 2 },
  );
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return {
    send: (data, signal) =>
      new Promise<Delivery>((resolve) => {
        const call = client.makeUnaryRequest(
          payload.grpcMethod,
          (body: Buffer) => body,
          (body: Buffer) => codec().decodeReply(payload.signal, body),
          payload.encode(codec(), data),
          metadata,
          (error, partial) => {
            signal.removeEventListener('abort', cancel);
            if (error === null) resolve({ kind: 'taken', ...(partial ?? { rejected: 0, message: '' }) });
            else if (RETRYABLE_GRPC.has(error.code)) resolve({ kind: 'later', reason: error.details, afterMs: null });
            else resolve({ kind: 'refused', reason: `${grpcStatus[error.code]} ${error.details}` });
          },
        );
        const cancel = (): void => call.cancel();
        signal.addEventListener('abort', cancel, { once: true });
        if (signal.aborted) cancel();
      }),
    close: () => client.close(),
  };
}

/** `ECONNREFUSED` hides in the errors of an AggregateError where a host has several addresses. */
function reasonOf(error: Error): string {
  const inner = error instanceof AggregateError ? (error.errors[0] as Error) : error;
  return inner.name === 'TimeoutError' || inner.name === 'AbortError' ? 'it does not answer in time' : inner.message;
}
