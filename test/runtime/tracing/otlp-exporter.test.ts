import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { ResourceSpans } from '../../../src/model/otlp.ts';
import type { OtlpCollector } from '../../../src/model/resolved.ts';
import type { Problem } from '../../../src/model/result.ts';
import { loadOtlpCodec } from '../../../src/runtime/tracing/otlp-codec.ts';
import { SpanExporter } from '../../../src/runtime/tracing/otlp-exporter.ts';
import { startOtlpReceiver } from '../../../src/runtime/tracing/otlp-receiver.ts';
import { type Delivery, openTransport, SPANS } from '../../../src/runtime/tracing/otlp-transport.ts';
import type { ServiceSpan } from '../../../src/runtime/tracing/trace-index.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { proxySpan, serviceSpan } from '../../support/spans.ts';

const codec = loadOtlpCodec();
const TAKEN: Delivery = { kind: 'taken', rejected: 0, message: '' };
const LATER: Delivery = { kind: 'later', reason: 'refused', afterMs: null };

/** @param answers in turn; the last one for all that come after */
function exporter(...answers: (Delivery | Promise<Delivery>)[]) {
  const clock = new FakeClock();
  const problems: Problem[] = [];
  const sent: ResourceSpans[][] = [];
  const transport = {
    send: async (spans: ResourceSpans[]) => {
      sent.push(spans);
      return answers[Math.min(sent.length, answers.length) - 1];
    },
    close: () => undefined,
  };
  const made = new SpanExporter({
    transport,
    endpoint: 'http://x',
    clock,
    random: () => 0,
    onProblem: (each) => problems.push(each),
  });
  return { made, clock, problems, sent };
}

const spansOf = (batch: ResourceSpans[]) =>
  batch.flatMap(({ scopeSpans }) => scopeSpans!.flatMap(({ spans }) => spans!));
const many = (count: number) => Array.from({ length: count }, () => proxySpan());

describe('exporting spans', () => {
  it('sends what came together, of proxies and services, after a second', async () => {
    const { made, clock, sent } = exporter(TAKEN);
    made.addProxySpans([proxySpan(), proxySpan({ instance: 'web-2' })]);
    made.addSpans([{ span: serviceSpan('b', 'a', 1, 2) }]);
    await clock.advanceAsync(999);
    expect(sent).toEqual([]);
    await clock.advanceAsync(1);
    expect(sent).toHaveLength(1);
    expect(spansOf(sent[0]).map(({ name }) => name)).toEqual(['GET', 'GET', 'b']);
    expect(sent[0]).toHaveLength(3);
    expect(made.exported).toBe(3);
  });

  it('sends full batches at once, one at a time', async () => {
    let take: (delivery: Delivery) => void = () => undefined;
    const { made, clock, sent } = exporter(new Promise((resolve) => (take = resolve)), TAKEN);
    made.addProxySpans(many(1_100));
    await clock.advanceAsync(0);
    expect(sent.map((batch) => spansOf(batch).length)).toEqual([512]);
    take(TAKEN);
    await clock.advanceAsync(0);
    await expect.poll(() => made.exported).toBe(1_100);
    expect(sent.map((batch) => spansOf(batch).length)).toEqual([512, 512, 76]);
  });

  it('tries again with growing pauses, says so once, and again when it had worked in between', async () => {
    const { made, clock, problems, sent } = exporter(LATER, LATER, LATER, TAKEN, LATER, TAKEN);
    made.addProxySpans(many(1));
    await clock.advanceAsync(1_000);
    expect(sent).toHaveLength(1);
    await clock.advanceAsync(249);
    expect(sent).toHaveLength(1);
    await clock.advanceAsync(1);
    expect(sent).toHaveLength(2);
    await clock.advanceAsync(500);
    expect(sent).toHaveLength(3);
    await clock.advanceAsync(1_000);
    expect(made.exported).toBe(1);
    expect(problems).toMatchObject([
      { code: 'MESH-R143', severity: 'warning', message: 'traces cannot be exported to http://x: refused' },
    ]);
    made.addProxySpans(many(1));
    await clock.advanceAsync(5_000);
    expect(made.exported).toBe(2);
    expect(problems).toHaveLength(2);
  });

  it('waits as long as the collector asks, and gives up on what it will never take', async () => {
    const { made, clock, sent } = exporter(
      { ...LATER, afterMs: 7_000 } as Delivery,
      { kind: 'refused', reason: '400' },
      TAKEN,
    );
    made.addProxySpans(many(1));
    await clock.advanceAsync(7_999);
    expect(sent).toHaveLength(1);
    await clock.advanceAsync(1);
    expect(sent).toHaveLength(2);
    expect(made.dropped).toBe(1);
    made.addProxySpans(many(2));
    await clock.advanceAsync(1_000);
    expect([made.exported, made.dropped]).toEqual([2, 1]);
  });

  it('keeps a bounded queue while the collector is away, and gives up after minutes', async () => {
    const { made, clock } = exporter(LATER);
    made.addProxySpans(many(6_000));
    // 512 are on their way, 4,096 wait.
    expect(made.dropped).toBe(6_000 - 4_608);
    await clock.advanceAsync(6 * 60_000);
    expect(made.dropped).toBeGreaterThanOrEqual(6_000 - 4_608 + 512);
    await made.close(0);
  });

  it('sends what is left when it closes, without waiting for a collector that is away', async () => {
    const good = exporter(TAKEN);
    good.made.addProxySpans(many(3));
    await good.made.close(1_000);
    expect(good.made.exported).toBe(3);
    const bad = exporter(LATER);
    bad.made.addProxySpans(many(600));
    await bad.clock.advanceAsync(0);
    await bad.made.close(1_000);
    expect(bad.made.dropped).toBe(600);
  });
});

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

describe('the way to a collector', () => {
  const never = new AbortController().signal;
  const address = (endpoint: string, protocol: OtlpCollector['protocol']): OtlpCollector => ({
    endpoint,
    protocol,
    headers: { 'x-key': 'k' },
  });
  const open = (endpoint: string, protocol: OtlpCollector['protocol'] = 'http/protobuf') => {
    const transport = openTransport(address(endpoint, protocol), SPANS, () => codec);
    closers.push(() => transport.close());
    return transport;
  };
  const data = [{ scopeSpans: [{ spans: [serviceSpan('a', '', 0, 5)] }] }];

  it.each(['http/protobuf', 'http/json', 'grpc'] as const)('is %s', async (protocol) => {
    const got: ServiceSpan[] = [];
    const started = await startOtlpReceiver({
      codec: () => codec,
      onSpans: (spans) => got.push(...spans),
      onLogs: () => undefined,
    });
    if (!started.ok) throw new Error(started.problems[0].message);
    closers.push(() => started.value.close());
    const transport = open(`http://127.0.0.1:${started.value.port}`, protocol);
    expect(await transport.send(data, never)).toEqual(TAKEN);
    expect(got.map(({ span }) => span)).toEqual(data[0].scopeSpans[0].spans);
    const bad = [{ scopeSpans: [{ spans: [serviceSpan('a', '', 0, 5, { traceId: '0'.repeat(32) })] }] }];
    expect(await transport.send(bad, never)).toEqual({
      kind: 'taken',
      rejected: 1,
      message: 'a span without a valid trace ID',
    });
  });

  it.each<[number, Record<string, string>, object]>([
    [200, {}, TAKEN],
    [503, {}, { kind: 'later', afterMs: null, reason: 'it answers 503 Service Unavailable' }],
    [429, { 'retry-after': '3' }, { kind: 'later', afterMs: 3_000 }],
    [400, {}, { kind: 'refused' }],
    [401, {}, { kind: 'refused' }],
  ])('knows what %i means', async (status, headers, delivery) => {
    const seen: http.IncomingMessage[] = [];
    const server = http.createServer((request, response) => {
      seen.push(request);
      request.resume().on('end', () => response.writeHead(status, headers).end('{not json'));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(() => server.close());
    const transport = open(`http://127.0.0.1:${(server.address() as AddressInfo).port}/base/`);
    expect(await transport.send(data, never)).toMatchObject(delivery);
    expect(seen[0]).toMatchObject({ url: '/base/v1/traces', headers: { 'x-key': 'k', 'content-encoding': 'gzip' } });
  });

  it('tries later where nobody listens, or nobody answers', async () => {
    const server = http.createServer(() => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    expect(await open(`http://127.0.0.1:${port}`).send(data, AbortSignal.timeout(50))).toEqual({
      kind: 'later',
      afterMs: null,
      reason: 'it does not answer in time',
    });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(await open(`http://127.0.0.1:${port}`).send(data, never)).toMatchObject({
      kind: 'later',
      reason: expect.stringContaining('ECONNREFUSED'),
    });
    expect(await open(`http://127.0.0.1:${port}`, 'grpc').send(data, never)).toMatchObject({ kind: 'later' });
  });
});
