import http from 'node:http';
import net from 'node:net';
import { gzipSync } from 'node:zlib';
import { Client, credentials } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ResourceLogs } from '../../../src/model/otlp.ts';
import { loadOtlpCodec } from '../../../src/runtime/tracing/otlp-codec.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../../../src/runtime/tracing/otlp-receiver.ts';
import type { ServiceLog, ServiceSpan } from '../../../src/runtime/tracing/trace-index.ts';
import { resourceSpans, serviceSpan, TRACE_ID } from '../../support/spans.ts';

const codec = loadOtlpCodec();
let receiver: OtlpReceiver;
let spans: ServiceSpan[];
let logs: ServiceLog[];

beforeEach(async () => {
  spans = [];
  logs = [];
  const started = await startOtlpReceiver({
    codec: () => codec,
    onSpans: (more) => spans.push(...more),
    onLogs: (more) => logs.push(...more),
  });
  if (!started.ok) throw new Error(started.problems[0].message);
  receiver = started.value;
});
afterEach(() => receiver.close());

const sent = [resourceSpans('api', [serviceSpan('a', '', 0, 5)])];
const sentLogs: ResourceLogs[] = [
  {
    scopeLogs: [
      {
        logRecords: [
          { traceId: TRACE_ID, body: { stringValue: 'in a trace' } },
          { body: { stringValue: 'elsewhere' } },
        ],
      },
    ],
  },
];

interface Answer {
  status: number;
  type: string;
  body: Buffer;
}

function post(path: string, body: Buffer | string, headers: Record<string, string>, method = 'POST'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      { host: '127.0.0.1', port: receiver.port, path, method, headers, agent: false },
      async (response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
        resolve({
          status: response.statusCode!,
          type: response.headers['content-type'] ?? '',
          body: Buffer.concat(chunks),
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

const PROTOBUF = { 'content-type': 'application/x-protobuf' };
const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' };

describe('OTLP over HTTP', () => {
  it.each<[string, Buffer | string, Record<string, string>]>([
    ['protobuf', codec.encodeSpans(sent), PROTOBUF],
    ['JSON', JSON.stringify({ resourceSpans: sent }), JSON_TYPE],
    ['packed protobuf', gzipSync(codec.encodeSpans(sent)), { ...PROTOBUF, 'content-encoding': 'gzip' }],
    ['packed JSON', gzipSync(JSON.stringify({ resourceSpans: sent })), { ...JSON_TYPE, 'content-encoding': 'gzip' }],
  ])('takes %s and answers in kind', async (_what, body, headers) => {
    const { status, type, body: answer } = await post('/v1/traces', body, headers);
    expect(status).toBe(200);
    expect(type).toBe(headers['content-type'].split(';')[0]);
    expect(answer.toString()).toBe(headers === PROTOBUF || headers['content-type'].endsWith('protobuf') ? '' : '{}');
    expect(spans).toMatchObject([
      { resource: sent[0].resource, scope: { name: 'app' }, span: sent[0].scopeSpans![0].spans![0] },
    ]);
  });

  it('keeps log records of traces, and takes metrics politely', async () => {
    expect((await post('/v1/logs', codec.encodeLogs(sentLogs), PROTOBUF)).status).toBe(200);
    expect(logs.map(({ log }) => log.body)).toEqual([{ stringValue: 'in a trace' }]);
    expect(await post('/v1/metrics', '{"resourceMetrics":[{"x":1}]}', JSON_TYPE)).toMatchObject({
      status: 200,
      body: Buffer.from('{}'),
    });
    expect((await post('/v1/metrics', Buffer.from([0x0a, 0]), PROTOBUF)).status).toBe(200);
  });

  it('keeps the good spans of a request, and says what was wrong with the others', async () => {
    const bad = [
      serviceSpan('b', '', 0, 5, { traceId: '0'.repeat(32) }),
      serviceSpan('c', '', 0, 5, { spanId: 'abcd' }),
      serviceSpan('d', '', 0, 5, { startTimeUnixNano: '0' }),
      serviceSpan('e', '', 0, 5, { attributes: [{ key: 'x', value: { stringValue: 'x'.repeat(300_000) } }] }),
    ];
    const body = JSON.stringify({ resourceSpans: [resourceSpans('api', [...bad, serviceSpan('a', '', 0, 5)])] });
    const answer = await post('/v1/traces', body, JSON_TYPE);
    expect(JSON.parse(answer.body.toString())).toEqual({
      partialSuccess: { rejectedSpans: '4', errorMessage: 'a span without a valid trace ID' },
    });
    expect(spans).toHaveLength(1);
  });

  const deep = `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"${TRACE_ID}","spanId":"00f067aa0ba902b7","startTimeUnixNano":"1","endTimeUnixNano":"2","attributes":[{"key":"x","value":${'{"arrayValue":{"values":['.repeat(5_000)}{}${']}}'.repeat(5_000)}}]}]}]}]}`;
  it.each<[string, string, string, Buffer | string, Record<string, string>, number]>([
    ['another path', 'POST', '/v2/traces', '', PROTOBUF, 404],
    ['another method', 'GET', '/v1/traces', '', PROTOBUF, 405],
    ['another type', 'POST', '/v1/traces', 'x', { 'content-type': 'text/plain' }, 415],
    ['another encoding', 'POST', '/v1/traces', 'x', { ...PROTOBUF, 'content-encoding': 'br' }, 415],
    ['no JSON', 'POST', '/v1/traces', '{', JSON_TYPE, 400],
    ['JSON of another shape', 'POST', '/v1/traces', '{"resourceSpans":[3]}', JSON_TYPE, 400],
    ['no protobuf', 'POST', '/v1/traces', Buffer.from([0x0a, 0x7f, 1]), PROTOBUF, 400],
    ['no gzip', 'POST', '/v1/traces', 'x', { ...PROTOBUF, 'content-encoding': 'gzip' }, 400],
    [
      'a bomb',
      'POST',
      '/v1/traces',
      gzipSync(Buffer.alloc(64 * 1024 * 1024)),
      { ...PROTOBUF, 'content-encoding': 'gzip' },
      400,
    ],
    ['values in values without end', 'POST', '/v1/traces', deep, JSON_TYPE, 400],
  ])('refuses %s and goes on', async (_what, method, path, body, headers, status) => {
    const answer = await post(path, body, headers, method);
    // Depending on the stack such nesting is understood and rejected, or not understood.
    if (answer.status === 200) expect(answer.body.toString()).toContain('nested too deeply');
    else expect(answer.status).toBe(status);
    expect(spans).toEqual([]);
    expect((await post('/v1/traces', codec.encodeSpans(sent), PROTOBUF)).status).toBe(200);
    expect(spans).toHaveLength(1);
  });

  it('refuses a body that does not end', async () => {
    const outcome = post('/v1/traces', Buffer.alloc(17 * 1024 * 1024), PROTOBUF).then(
      ({ status }) => status,
      // The answer may be lost with the connection that cannot take the rest.
      () => 413,
    );
    expect(await outcome).toBe(413);
    expect((await post('/v1/traces', codec.encodeSpans(sent), PROTOBUF)).status).toBe(200);
  });

  it('waits for a client that sends its first bytes one by one', async () => {
    const socket = net.connect(receiver.port, '127.0.0.1').setNoDelay(true);
    const body = JSON.stringify({ resourceSpans: sent });
    const head = `POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n`;
    let answer = '';
    socket.setEncoding('latin1').on('data', (text) => {
      answer += text;
    });
    for (const text of ['P', 'O', head.slice(2) + body])
      await new Promise<void>((resolve) => socket.write(text, () => setImmediate(resolve)));
    await new Promise((resolve) => socket.on('close', resolve));
    expect(answer).toMatch(/^HTTP\/1.1 200 /);
    expect(spans).toHaveLength(1);
  });
});

describe('OTLP over gRPC, on the same port', () => {
  const call = (service: string, body: Buffer): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const client = new Client(`127.0.0.1:${receiver.port}`, credentials.createInsecure(), {
        'grpc.enable_http_proxy': 0,
        'grpc.default_compression_algorithm': 2,
      });
      const same = (bytes: Buffer) => bytes;
      client.makeUnaryRequest(`/opentelemetry.proto.collector.${service}/Export`, same, same, body, (error, reply) => {
        client.close();
        if (error === null) resolve(reply!);
        else reject(error);
      });
    });

  it('takes spans, log records and metrics', async () => {
    expect(await call('trace.v1.TraceService', codec.encodeSpans(sent))).toHaveLength(0);
    expect(await call('logs.v1.LogsService', codec.encodeLogs(sentLogs))).toHaveLength(0);
    expect(await call('metrics.v1.MetricsService', Buffer.from([0x0a, 0]))).toHaveLength(0);
    expect(spans).toHaveLength(1);
    expect(logs).toHaveLength(1);
  });

  it('says which spans it does not take, and what it does not understand', async () => {
    const bad = [resourceSpans('api', [serviceSpan('b', '', 0, 5, { traceId: '0'.repeat(32) })])];
    const reply = await call('trace.v1.TraceService', codec.encodeSpans(bad));
    expect(codec.decodeReply('traces', reply)).toEqual({ rejected: 1, message: 'a span without a valid trace ID' });
    await expect(call('trace.v1.TraceService', Buffer.from([0x0a, 0x7f, 1]))).rejects.toMatchObject({ code: 3 });
  });
});
