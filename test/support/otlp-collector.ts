import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import zlib from 'node:zlib';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import Long from 'long';
import protobuf from 'protobufjs';
import type { ResourceMetrics } from '../../src/model/otlp-metrics.ts';

export interface Collected {
  /** `/v1/metrics`, or the method of gRPC. */
  path: string;
  headers: Record<string, unknown>;
  resourceMetrics: ResourceMetrics[];
}

/** A collector of metrics, over HTTP (protobuf and JSON) and gRPC, that keeps what it is sent and answers as it is told. */
export interface Collector {
  httpEndpoint: string;
  grpcEndpoint: string;
  taken: Collected[];
  /** Status of the answers over HTTP, and what is said beside it. */
  answer: { status: number; headers?: Record<string, string>; body?: string };
  close(): Promise<void>;
}

export async function startCollector(): Promise<Collector> {
  const MetricsData = metricsType();
  const decode = (bytes: Uint8Array): ResourceMetrics[] =>
    (
      MetricsData.toObject(MetricsData.decode(bytes), { longs: String, defaults: false }) as {
        resourceMetrics?: ResourceMetrics[];
      }
    ).resourceMetrics ?? [];
  const collector = { taken: [] as Collected[], answer: { status: 200 } as Collector['answer'] };

  const web = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const whole = Buffer.concat(chunks);
    const body = request.headers['content-encoding'] === 'gzip' ? zlib.gunzipSync(whole) : whole;
    const json = request.headers['content-type'] === 'application/json';
    const resourceMetrics = json
      ? (JSON.parse(body.toString('utf8')) as { resourceMetrics: ResourceMetrics[] }).resourceMetrics
      : decode(body);
    collector.taken.push({ path: request.url ?? '', headers: request.headers, resourceMetrics });
    const { status, headers, body: said = '' } = collector.answer;
    response.writeHead(status, headers).end(said);
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));

  const grpc = new Server();
  const method = '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export';
  grpc.register(
    method,
    (call: { request: ResourceMetrics[]; metadata: { getMap(): Record<string, unknown> } }, reply: unknown) => {
      collector.taken.push({ path: method, headers: call.metadata.getMap(), resourceMetrics: call.request });
      (reply as (error: null, value: Buffer) => void)(null, Buffer.alloc(0));
    },
    (value: Buffer) => value,
    decode as never,
    'unary',
  );
  const grpcPort = await new Promise<number>((resolve, reject) => {
    grpc.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });

  return Object.assign(collector, {
    httpEndpoint: `http://127.0.0.1:${(web.address() as AddressInfo).port}`,
    grpcEndpoint: `http://127.0.0.1:${grpcPort}`,
    async close() {
      grpc.forceShutdown();
      web.closeAllConnections();
      await new Promise((resolve) => web.close(resolve));
    },
  });
}

function metricsType(): protobuf.Type {
  protobuf.util.Long = Long;
  protobuf.configure();
  const root = new protobuf.Root();
  const directory = path.join(import.meta.dirname, '../../proto');
  root.resolvePath = (_origin, target) => path.join(directory, target);
  root.loadSync('opentelemetry/proto/metrics/v1/metrics.proto');
  return root.lookupType('opentelemetry.proto.metrics.v1.MetricsData');
}
