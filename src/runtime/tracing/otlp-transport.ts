import http from 'node:http';
import https from 'node:https';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { Client, credentials, status as grpcStatus, Metadata } from '@grpc/grpc-js';
import type { ResourceSpans } from '../../model/otlp.ts';
import type { OtlpCodec, PartialSuccess } from './otlp-codec.ts';
import type { Delivery, SpanTransport } from './otlp-exporter.ts';

export interface CollectorAddress {
  /** Base URL: `http://127.0.0.1:4318`. */
  endpoint: string;
  headers: Readonly<Record<string, string>>;
  protocol: 'http/protobuf' | 'http/json' | 'grpc';
}

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

export function openTransport(address: CollectorAddress, codec: () => OtlpCodec): SpanTransport {
  return address.protocol === 'grpc' ? grpcTransport(address, codec) : httpTransport(address, codec);
}

function httpTransport({ endpoint, headers, protocol }: CollectorAddress, codec: () => OtlpCodec): SpanTransport {
  const url = new URL(endpoint);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/v1/traces`;
  const { request, Agent } = url.protocol === 'https:' ? https : http;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const json = protocol === 'http/json';
  return {
    async send(spans, signal) {
      const body = await gzip(json ? JSON.stringify({ resourceSpans: spans }) : codec().encodeSpans(spans));
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
            resolve(deliveryOf(response, bytes > MOST_REPLY_BYTES ? null : Buffer.concat(chunks), codec)),
          );
        });
        call.end(body);
      });
    },
    close: () => agent.destroy(),
  };
}

function deliveryOf(response: http.IncomingMessage, body: Buffer | null, codec: () => OtlpCodec): Delivery {
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) {
    try {
      const type = response.headers['content-type'] ?? '';
      return { kind: 'taken', ...partialOf(body ?? Buffer.alloc(0), type.startsWith('application/json'), codec) };
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

function partialOf(body: Buffer, json: boolean, codec: () => OtlpCodec): PartialSuccess {
  if (body.length === 0) return { rejected: 0, message: '' };
  if (!json) return codec().decodeReply('traces', body);
  const reply = JSON.parse(body.toString('utf8')) as {
    partialSuccess?: { rejectedSpans?: string; errorMessage?: string };
  };
  return {
    rejected: Number(reply.partialSuccess?.rejectedSpans ?? 0),
    message: reply.partialSuccess?.errorMessage ?? '',
  };
}

const EXPORT = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

function grpcTransport({ endpoint, headers }: CollectorAddress, codec: () => OtlpCodec): SpanTransport {
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
    send: (spans: ResourceSpans[], signal) =>
      new Promise<Delivery>((resolve) => {
        const call = client.makeUnaryRequest(
          EXPORT,
          (body: Buffer) => body,
          (body: Buffer) => codec().decodeReply('traces', body),
          codec().encodeSpans(spans),
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
