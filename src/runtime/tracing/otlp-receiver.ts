import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import {
  status as grpcStatus,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { problem } from '../../model/errors.ts';
import type { ResourceLogs, ResourceSpans } from '../../model/otlp.ts';
import { fail, ok, type Result } from '../../model/result.ts';
import { acceptLogs, acceptSpans } from './ingest.ts';
import { type OtlpCodec, type PartialSuccess, replyToJson, type Signal } from './otlp-codec.ts';
import type { ServiceLog, ServiceSpan } from './trace-index.ts';

export interface OtlpReceiverOptions {
  /** Loaded when the first request comes: most meshes have no service that sends. */
  codec: () => OtlpCodec;
  onSpans: (spans: ServiceSpan[]) => void;
  onLogs: (logs: ServiceLog[]) => void;
}

export interface OtlpReceiver {
  /** On 127.0.0.1; speaks OTLP/HTTP and OTLP/gRPC. */
  readonly port: number;
  close(): Promise<void>;
}

/** Of a request's body, also when it is unpacked. */
const MOST_BODY_BYTES = 16 * 1024 * 1024;
/** Bodies held at a time over all connections; senders wait or try again. */
const MOST_HELD_BYTES = 64 * 1024 * 1024;
/** How an HTTP/2 connection without TLS begins (RFC 9113 section 3.4); three bytes tell it from any HTTP/1.1 method. */
const HTTP2_PREFACE = 'PRI';
const FIRST_BYTES_TIMEOUT_MS = 10_000;

const PATHS: Readonly<Record<string, Signal>> = {
  '/v1/traces': 'traces',
  '/v1/logs': 'logs',
  '/v1/metrics': 'metrics',
};
const GRPC_METHODS: Readonly<Record<Signal, string>> = {
  traces: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  logs: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
  metrics: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
};

/**
 * Takes what services send over OTLP: gRPC, and HTTP with protobuf or JSON, on one port of 127.0.0.1, so that the
 * address that services get is right whatever their exporter speaks. Spans and log records of traces are kept; metrics
 * are taken and dropped, so that SDKs that send them do not complain.
 * @returns MESH-R142 if there is no port to be had
 */
export async function startOtlpReceiver(options: OtlpReceiverOptions): Promise<Result<OtlpReceiver>> {
  const take = (signal: Signal, read: () => { spans?: ResourceSpans[]; logs?: ResourceLogs[] }): PartialSuccess => {
    if (signal === 'metrics') return { rejected: 0, message: '' };
    const { spans, logs } = read();
    const { rejected, reason } =
      signal === 'traces' ? keep(acceptSpans(spans!), options.onSpans) : keep(acceptLogs(logs!), options.onLogs);
    return { rejected, message: reason };
  };
  const takeBytes = (signal: Signal, body: Buffer): PartialSuccess =>
    take(signal, () =>
      signal === 'traces' ? { spans: options.codec().decodeSpans(body) } : { logs: options.codec().decodeLogs(body) },
    );
  const takeJson = (signal: Signal, body: Buffer): PartialSuccess =>
    take(signal, () => {
      const json: unknown = JSON.parse(body.toString('utf8'));
      return signal === 'traces'
        ? { spans: options.codec().spansFromJson(json) }
        : { logs: options.codec().logsFromJson(json) };
    });

  const web = http.createServer(httpListener(options, takeBytes, takeJson));
  const grpc = new Server({ 'grpc.max_receive_message_length': MOST_BODY_BYTES });
  for (const signal of Object.keys(GRPC_METHODS) as Signal[]) addGrpcMethod(grpc, signal, options, takeBytes);
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    sniff(socket, (isHttp2) => (isHttp2 ? injector.injectConnection(socket) : web.emit('connection', socket)));
  });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
  } catch (error) {
    return fail(
      problem('MESH-R142', {
        message: `spans of services cannot be received: ${(error as Error).message}`,
        hint: 'traces show what the proxies see; see how many ports and files are in use',
        severity: 'warning',
      }),
    );
  }
  return ok({
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      injector.destroy();
      grpc.forceShutdown();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  });
}

function keep<Item>(accepted: { items: Item[]; rejected: number; reason: string }, use: (items: Item[]) => void) {
  if (accepted.items.length > 0) use(accepted.items);
  return accepted;
}

/** Looks at the first bytes and puts them back. */
function sniff(socket: net.Socket, decided: (isHttp2: boolean) => void): void {
  socket.setTimeout(FIRST_BYTES_TIMEOUT_MS, () => socket.destroy());
  let first = Buffer.alloc(0);
  const look = (): void => {
    const more: Buffer | null = socket.read();
    if (more === null) return;
    first = Buffer.concat([first, more]);
    if (first.length < HTTP2_PREFACE.length) return;
    socket.unshift(first);
    socket.off('readable', look);
    socket.setTimeout(0);
    socket.removeAllListeners('timeout');
    decided(first.toString('latin1', 0, HTTP2_PREFACE.length) === HTTP2_PREFACE);
  };
  socket.on('readable', look);
}

type Take = (signal: Signal, body: Buffer) => PartialSuccess;

function httpListener(options: OtlpReceiverOptions, takeBytes: Take, takeJson: Take): http.RequestListener {
  let held = 0;
  return async (request, response) => {
    const answer = (
      status: number,
      type: string,
      body: Buffer | string,
      headers: http.OutgoingHttpHeaders = {},
    ): void => {
      if (response.destroyed) return;
      // The rest of a refused body is not read; the connection cannot go on with it.
      if (!request.complete) headers.connection = 'close';
      response
        .writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), ...headers })
        .end(body);
    };
    const refuse = (status: number, message: string, headers?: http.OutgoingHttpHeaders): void =>
      answer(status, 'application/json', JSON.stringify({ code: 3, message }), headers);
    const signal = PATHS[(request.url ?? '').split('?')[0]];
    if (signal === undefined) return refuse(404, `OTLP is taken at ${Object.keys(PATHS).join(', ')}`);
    if (request.method !== 'POST') return refuse(405, 'POST', { allow: 'POST' });
    const type = (request.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
    const json = type === 'application/json';
    if (!json && type !== 'application/x-protobuf') {
      return refuse(415, 'the content type has to be application/x-protobuf or application/json');
    }
    let bytes = 0;
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        held += chunk.length;
        if (bytes > MOST_BODY_BYTES) return refuse(413, `more than ${MOST_BODY_BYTES} bytes`);
        if (held > MOST_HELD_BYTES) return refuse(503, 'too much at a time', { 'retry-after': '1' });
        chunks.push(chunk);
      }
      const body = await unpack(Buffer.concat(chunks), request.headers['content-encoding'] ?? 'identity');
      if (body === null) return refuse(415, 'the content encoding has to be gzip, deflate or identity');
      const partial = json ? takeJson(signal, body) : takeBytes(signal, body);
      if (json) answer(200, 'application/json', JSON.stringify(replyToJson(signal, partial)));
      else answer(200, 'application/x-protobuf', isEmpty(partial) ? '' : options.codec().encodeReply(signal, partial));
    } catch (error) {
      // What is no OTLP, or no gzip; or the client went away, and nobody hears it.
      refuse(400, `not understood: ${(error as Error).message}`);
    } finally {
      held -= bytes;
    }
  };
}

const isEmpty = ({ rejected, message }: PartialSuccess): boolean => rejected === 0 && message === '';

const gunzip = promisify(zlib.gunzip);
const inflate = promisify(zlib.inflate);

/** Null: an encoding that is not known. */
async function unpack(body: Buffer, encoding: string): Promise<Buffer | null> {
  const bounded = { maxOutputLength: MOST_BODY_BYTES };
  switch (encoding.trim().toLowerCase()) {
    case 'identity':
    case '':
      return body;
    case 'gzip':
      return gunzip(body, bounded);
    case 'deflate':
      return inflate(body, bounded);
    default:
      return null;
  }
}

function addGrpcMethod(server: Server, signal: Signal, options: OtlpReceiverOptions, take: Take): void {
  const path = GRPC_METHODS[signal];
  const definition = {
    path,
    requestStream: false as const,
    responseStream: false as const,
    requestSerialize: (body: Buffer) => body,
    requestDeserialize: (body: Buffer) => body,
    responseSerialize: (partial: PartialSuccess) =>
      isEmpty(partial) ? Buffer.alloc(0) : options.codec().encodeReply(signal, partial),
    responseDeserialize: (body: Buffer) => options.codec().decodeReply(signal, body),
  };
  const answer = (call: ServerUnaryCall<Buffer, PartialSuccess>, reply: sendUnaryData<PartialSuccess>): void => {
    try {
      reply(null, take(signal, call.request));
    } catch (error) {
      reply({ code: grpcStatus.INVALID_ARGUMENT, details: `not understood: ${(error as Error).message}` });
    }
  };
  server.addService({ Export: definition }, { Export: answer });
}
