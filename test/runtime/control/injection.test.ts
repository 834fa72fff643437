import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { InjectionRequest, InjectionStatus, Takeover } from '../../../src/model/injection.ts';
import { type ControlClient, connectControl } from '../../../src/runtime/control/client.ts';
import {
  injectionFromWire,
  injectionRequestFromWire,
  injectionRequestToWire,
  injectionToWire,
} from '../../../src/runtime/control/injection-wire.ts';
import { loadControlService } from '../../../src/runtime/control/proto.ts';
import { type ControlServer, serveControl } from '../../../src/runtime/control/server.ts';
import { controlSocketPath } from '../../../src/runtime/control/socket-path.ts';
import { type FakeMesh, fakeMesh, ordersInjection, temporaryDirectory } from './fake-mesh.ts';

const text = fc.string({ unit: 'grapheme' });
const port = fc.integer({ min: 1, max: 65_535 });
const nullable = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });
const pid = nullable(fc.integer({ min: 1, max: 4_194_304 }));
const protocol = fc.constantFrom('http', 'http2', 'grpc', 'tcp');
const takeover: fc.Arbitrary<Takeover | null> = fc.oneof(
  fc.constant(null),
  fc.constant({ kind: 'all' } as const),
  fc.record({ kind: fc.constant('match' as const), header: text, value: text }),
  fc.record({ kind: fc.constant('weight' as const), weight: fc.integer({ min: 1, max: 99 }) }),
);
const flags = { sticky: fc.boolean(), transparent: fc.boolean(), attach: fc.boolean() };

const requests: fc.Arbitrary<InjectionRequest> = fc.record({
  service: text,
  target: fc.oneof(
    fc.record({ kind: fc.constant('address' as const), host: text, port }),
    fc.record({ kind: fc.constant('own' as const), port: nullable(port) }),
  ),
  pid,
  protocol: nullable(protocol),
  takeover,
  ...flags,
}) as fc.Arbitrary<InjectionRequest>;

const statuses: fc.Arbitrary<InjectionStatus> = fc.record({
  ...{ instance: text, service: text, pid, host: text, port, protocol, protocolFrom: text },
  state: fc.constantFrom('waiting', 'ready', 'gone', 'ejecting'),
  ...{ inboundPort: port, outboundPort: port, spiffeId: text, takeover, ...flags },
  injectedAt: fc
    .date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true })
    .map((date) => date.toISOString()),
  environment: fc.dictionary(text, text),
  coverage: fc.array(
    fc.record({
      ...{ direction: fc.constantFrom('inbound', 'outbound'), subject: text, covered: fc.boolean() },
      ...{ detail: text, fix: text },
    }),
    { maxLength: 4 },
  ),
}) as fc.Arbitrary<InjectionStatus>;

const { service } = loadControlService();

describe('injections on the wire', () => {
  it('requests come back as they were sent', () => {
    const { requestSerialize, requestDeserialize } = service.Inject;
    fc.assert(
      fc.property(requests, (request) => {
        const wire = requestDeserialize(requestSerialize(injectionRequestToWire(request)));
        expect(injectionRequestFromWire(wire as never)).toEqual(request);
      }),
    );
  });

  it('statuses come back as they were sent', () => {
    const { responseSerialize, responseDeserialize } = service.Inject;
    fc.assert(
      fc.property(statuses, (status) => {
        const bytes = responseSerialize({ injection: injectionToWire(status), problems: [] });
        const { injection } = responseDeserialize(bytes) as { injection: never };
        const back = injectionFromWire(injection);
        expect({ ...back, environment: new Map(Object.entries(back.environment)) }).toEqual({
          ...status,
          environment: new Map(Object.entries(status.environment)),
        });
      }),
    );
  });
});

describe('injections through the control API', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let mesh: FakeMesh;
  let server: ControlServer;
  let client: ControlClient;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    mesh = fakeMesh();
    const socket = controlSocketPath(directory.path);
    const serving = await serveControl(mesh, socket);
    if (!serving.ok) throw new Error(serving.problems[0].message);
    server = serving.value;
    const connected = await connectControl(socket);
    if (!connected.ok) throw new Error(connected.problems[0].message);
    client = connected.value;
  });
  afterEach(async () => {
    client.close();
    await server.close();
    await directory[Symbol.asyncDispose]();
  });

  const request: InjectionRequest = {
    service: 'orders',
    target: { kind: 'address', host: '127.0.0.1', port: 9000 },
    pid: 4711,
    protocol: null,
    takeover: { kind: 'match', header: 'x-dev', value: 'me' },
    ...{ sticky: true, transparent: false, attach: false },
  };

  it('injects, updates, lists and ejects', async () => {
    expect(await client.inject(request)).toEqual({ ok: true, value: ordersInjection });
    expect(await client.updateInjection('orders-injected-1', { pid: 4712 })).toEqual({ ok: true, value: undefined });
    expect(await client.injections()).toEqual([ordersInjection]);
    expect(await client.eject('orders')).toEqual({ ok: true, value: ['orders-injected-1'] });
    expect(await client.eject(null)).toEqual({ ok: true, value: ['orders-injected-1'] });
    expect(mesh.calls).toEqual(['inject orders', 'update orders-injected-1 4712', 'eject orders', 'eject null']);
  });

  it('passes on what is refused', async () => {
    mesh.refuse = 'orders';
    const refused = { code: 'MESH-J106', message: 'orders is taken', hint: 'use --takeover' };
    expect(await client.inject(request)).toEqual({ ok: false, problems: [refused] });
    expect(await client.eject('orders')).toMatchObject({ ok: false, problems: [{ code: 'MESH-J110' }] });
  });
});
