import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Problem } from '../../../src/model/result.ts';
import type { InstanceStatus, MeshStatus } from '../../../src/model/status.ts';
import { loadControlService } from '../../../src/runtime/control/proto.ts';
import { statusFromWire, statusToWire } from '../../../src/runtime/control/wire.ts';

const port = fc.integer({ min: 1, max: 65_535 });
const nullable = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });
const time = fc.integer({ min: 0, max: 4_000_000_000_000 }).map((ms) => new Date(ms).toISOString());
const pid = fc.integer({ min: 1, max: 4_194_304 });
const text = fc.string({ unit: 'grapheme' });

const problem: fc.Arbitrary<Problem> = fc.record(
  {
    code: text,
    message: text,
    hint: text,
    path: text,
    file: text,
    line: fc.nat(),
    column: fc.nat(),
    severity: fc.constantFrom('error', 'warning'),
  },
  { requiredKeys: ['code', 'message'] },
);

const instance: fc.Arbitrary<InstanceStatus> = fc.record({
  id: text,
  subset: text,
  state: fc.constantFrom('starting', 'ready', 'unhealthy', 'stopping', 'stopped', 'completed', 'failed'),
  reason: text,
  pid: nullable(pid),
  appPort: nullable(port),
  inboundPort: nullable(port),
  outboundPort: nullable(port),
  restarts: fc.nat(),
  startedAt: nullable(time),
  readyAfterMs: nullable(fc.double({ min: 0, max: 1e6, noNaN: true })),
  spiffeId: text,
});

const status: fc.Arbitrary<MeshStatus> = fc.record({
  mesh: text,
  state: fc.constantFrom('starting', 'running', 'stopping', 'stopped'),
  pid,
  dataPlanePids: fc.array(pid, { maxLength: 3 }),
  gateway: fc.record({ http: port, https: port }, { requiredKeys: [] }),
  config: fc.record({ version: fc.maxSafeNat(), loadedAt: time, problems: fc.array(problem, { maxLength: 3 }) }),
  traffic: fc.record({
    requests: fc.maxSafeNat(),
    activeRequests: fc.maxSafeNat(),
    activeConnections: fc.maxSafeNat(),
    flags: fc.dictionary(fc.constantFrom('UH', 'UF', 'NR'), fc.maxSafeNat(), { noNullPrototype: true }),
    refusedPeers: fc.dictionary(fc.constantFrom('expired', 'no-certificate'), fc.maxSafeNat(), {
      noNullPrototype: true,
    }),
    telemetryDropped: fc.dictionary(fc.constantFrom('taps', 'spans'), fc.maxSafeNat(), { noNullPrototype: true }),
  }),
  services: fc.array(
    fc.record({
      name: text,
      protocol: fc.constantFrom('http', 'http2', 'grpc', 'tcp'),
      external: fc.boolean(),
      task: fc.boolean(),
      waitingFor: fc.array(text, { maxLength: 3 }),
      instances: fc.array(instance, { maxLength: 3 }),
    }),
    { maxLength: 4 },
  ),
});

describe('the messages of control.proto', () => {
  it('carry any status through the wire format unchanged', () => {
    const { responseSerialize, responseDeserialize } = loadControlService().service.GetStatus;
    fc.assert(
      fc.property(status, (before) => {
        const bytes = responseSerialize(statusToWire(before));
        const after = statusFromWire(responseDeserialize(bytes) as ReturnType<typeof statusToWire>);
        expect(after).toEqual(JSON.parse(JSON.stringify(before)));
      }),
      { numRuns: 200 },
    );
  });
});
