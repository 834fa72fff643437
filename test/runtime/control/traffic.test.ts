import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BodyMessage, EventBody } from '../../../src/model/bodies.ts';
import {
  ANY_REQUEST,
  type RequestEvent,
  STAT_GROUPINGS,
  type StatRow,
  type TapFilter,
} from '../../../src/model/events.ts';
import { type ControlClient, connectControl } from '../../../src/runtime/control/client.ts';
import { loadControlService } from '../../../src/runtime/control/proto.ts';
import { type ControlServer, serveControl } from '../../../src/runtime/control/server.ts';
import { controlSocketPath } from '../../../src/runtime/control/socket-path.ts';
import { createTapEncoder } from '../../../src/runtime/control/tap-encoder.ts';
import {
  groupingFromWire,
  statsFromWire,
  statsRequestToWire,
  tapBatchFromWire,
  tapBatchToWire,
  tapFilterFromWire,
  tapFilterToWire,
} from '../../../src/runtime/control/traffic-wire.ts';
import { type FakeMesh, fakeMesh, requestEvent, statRow, temporaryDirectory, until } from './fake-mesh.ts';

const text = fc.string({ unit: 'grapheme' });
/** One byte a character, as the codecs have them. */
const value = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const headers = fc.array(fc.tuple(text, value), { maxLength: 3 });
const ms = fc.double({ min: 0, max: 1e9, noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
const nullable = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });

const base64 = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('base64'));
const bodyParts = { bytes: fc.maxSafeNat(), truncated: fc.boolean() };
const body: fc.Arbitrary<EventBody> = fc
  .tuple(
    fc.record({ contentType: text, encoding: text, note: text, ...bodyParts }),
    fc.oneof(
      fc.constant({}),
      fc.record({ text }),
      fc.record({ base64 }),
      fc.record({
        messages: fc.array(
          fc
            .tuple(
              fc.record({ type: text, ...bodyParts }),
              fc.oneof(
                fc.constant({}),
                fc.record({ json: fc.jsonValue().map((json): unknown => JSON.parse(JSON.stringify(json))) }),
              ),
            )
            .map(([parts, content]): BodyMessage => ({ ...parts, ...content })),
          { maxLength: 3 },
        ),
      }),
    ),
  )
  .map(([parts, content]) => ({ ...parts, ...content }));

const plainEvent: fc.Arbitrary<RequestEvent> = fc.record({
  id: text,
  traceId: text,
  parentSpanId: text,
  sampled: fc.boolean(),
  time: text,
  source: text,
  destination: text,
  instance: text,
  direction: fc.constantFrom('inbound', 'outbound'),
  protocol: fc.constantFrom('http', 'http2', 'grpc', 'tcp'),
  method: text,
  authority: text,
  path: text,
  route: text,
  gatewayRoute: text,
  status: fc.nat(999),
  grpcStatus: nullable(fc.nat(17)),
  durationMs: ms,
  pickedAfterMs: nullable(ms),
  firstByteAfterMs: nullable(ms),
  requestBytes: fc.maxSafeNat(),
  responseBytes: fc.maxSafeNat(),
  retries: fc.nat(10),
  responseFlags: text,
  tls: fc.boolean(),
  peer: text,
  requestHeaders: headers,
  responseHeaders: headers,
});

const event: fc.Arbitrary<RequestEvent> = fc
  .tuple(
    plainEvent,
    fc.oneof(fc.constant({}), fc.record({ connectedAfterMs: ms })),
    fc.oneof(fc.constant({}), fc.record({ requestBody: body, responseBody: body })),
  )
  .map(([parts, connected, bodies]) => ({ ...parts, ...connected, ...bodies }));

const filter: fc.Arbitrary<TapFilter> = fc.record({
  service: text,
  from: text,
  to: text,
  method: text,
  path: text,
  route: text,
  protocol: text,
  status: text,
  minDurationMs: ms,
  headers,
  direction: fc.constantFrom('inbound', 'outbound', ''),
  maxPerSecond: ms,
  showHeaders: fc.array(text, { maxLength: 3 }),
  bodyLimitBytes: fc.nat(1024 * 1024),
});

const row: fc.Arbitrary<StatRow> = fc.record({
  source: text,
  destination: text,
  route: text,
  gatewayRoute: text,
  subset: text,
  tls: fc.boolean(),
  requests: fc.maxSafeNat(),
  requestsPerSecond: ms,
  failures: fc.maxSafeNat(),
  successRate: fc.double({ min: 0, max: 1, noNaN: true }).map((value) => value + 0),
  p50Ms: ms,
  p95Ms: ms,
  p99Ms: ms,
  active: fc.maxSafeNat(),
  retries: fc.maxSafeNat(),
  requestBytes: fc.maxSafeNat(),
  responseBytes: fc.maxSafeNat(),
});

describe('the messages about traffic', () => {
  const { Tap, GetStats } = loadControlService().service;

  it('carry any batch of requests unchanged', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 3 }), fc.maxSafeNat(), fc.maxSafeNat(), (events, dropped, filtered) => {
        const batch = { events, dropped, filtered, ...(dropped > 0 ? { bodiesDropped: dropped } : {}) };
        const bytes = Tap.responseSerialize(tapBatchToWire(batch));
        expect(tapBatchFromWire(Tap.responseDeserialize(bytes) as never)).toEqual(batch);
      }),
    );
  });

  it('are the same from the encoder that the daemon uses', () => {
    const encode = createTapEncoder();
    fc.assert(
      fc.property(fc.array(event, { maxLength: 3 }), fc.maxSafeNat(), fc.maxSafeNat(), (events, dropped, filtered) => {
        const batch = { events, dropped, filtered };
        expect(tapBatchFromWire(Tap.responseDeserialize(encode(batch)) as never)).toEqual(batch);
      }),
    );
    // Texts and records around the sizes at which lengths take a byte more, and characters of every width.
    for (const length of [0, 1, 41, 42, 43, 127, 128, 16_383, 16_384, 70_000, 2_100_000]) {
      for (const character of ['a', 'é', '€', '😀']) {
        const batch = { events: [requestEvent({ path: character.repeat(length) })], dropped: 0, filtered: 0 };
        expect(tapBatchFromWire(Tap.responseDeserialize(encode(batch)) as never)).toEqual(batch);
      }
    }
  });

  it('carry any filter unchanged', () => {
    fc.assert(
      fc.property(filter, (before) => {
        const bytes = Tap.requestSerialize(tapFilterToWire(before));
        expect(tapFilterFromWire(Tap.requestDeserialize(bytes) as never)).toEqual(before);
      }),
    );
  });

  it('carry any statistics and groupings unchanged', () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 3 }), (rows) => {
        const bytes = GetStats.responseSerialize({ rows });
        expect(statsFromWire(GetStats.responseDeserialize(bytes) as never)).toEqual(rows);
      }),
    );
    for (const by of STAT_GROUPINGS) {
      const bytes = GetStats.requestSerialize(statsRequestToWire(1_000, by));
      expect(groupingFromWire(GetStats.requestDeserialize(bytes) as never)).toBe(by);
    }
    // A client of another version that does not say.
    expect(groupingFromWire(GetStats.requestDeserialize(Buffer.alloc(0)) as never)).toBe('each');
  });
});

describe('traffic over the socket', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let mesh: FakeMesh;
  let server: ControlServer;
  let client: ControlClient;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    const socket = controlSocketPath(directory.path);
    mesh = fakeMesh();
    const served = await serveControl(mesh, socket);
    if (!served.ok) throw new Error(served.problems[0].message);
    server = served.value;
    const connected = await connectControl(socket);
    if (!connected.ok) throw new Error(connected.problems[0].message);
    client = connected.value;
  });

  afterEach(async () => {
    client.close();
    await server.close();
    await directory[Symbol.asyncDispose]();
  });

  it('comes as it happens, until the reader leaves', async () => {
    const abort = new AbortController();
    const tap = client
      .tap({ ...ANY_REQUEST, to: 'orders', headers: [['x-user', '42']] }, abort.signal)
      [Symbol.asyncIterator]();
    await until(() => mesh.taps === 1, 'the daemon knows of the tap');
    expect(JSON.parse(mesh.calls[0].slice(4))).toEqual({ ...ANY_REQUEST, to: 'orders', headers: [['x-user', '42']] });
    const shown = requestEvent({ requestHeaders: [['x-user', '42']], grpcStatus: 0, protocol: 'grpc' });
    mesh.tapped({ events: [shown], dropped: 3, filtered: 4 });
    expect((await tap.next()).value).toEqual({ events: [shown], dropped: 3, filtered: 4 });
    abort.abort();
    expect((await tap.next()).done).toBe(true);
    await until(() => mesh.taps === 0, 'the daemon forgets the tap');
  });

  it('ends for the daemon when the client is gone', async () => {
    void client
      .tap({ ...ANY_REQUEST }, new AbortController().signal)
      [Symbol.asyncIterator]()
      .next()
      .catch(() => undefined);
    await until(() => mesh.taps === 1, 'the daemon knows of the tap');
    client.close();
    await until(() => mesh.taps === 0, 'the daemon forgets the tap');
  });

  it('is summed up at once and again', async () => {
    mesh.rows = [statRow(), statRow({ source: 'web' })];
    expect(await client.stats(60_000)).toEqual(mesh.rows);
    await client.stats(1_000, 'subset');
    expect(mesh.calls).toEqual(['stats 60000 each', 'stats 1000 subset']);
    const abort = new AbortController();
    let readings = 0;
    for await (const rows of client.watchStats(5_000, abort.signal, 'edge')) {
      expect(rows).toEqual(mesh.rows);
      if (++readings === 2) abort.abort();
    }
    expect(readings).toBe(2);
    expect(mesh.calls.at(-1)).toBe('stats 5000 edge');
  });
});
