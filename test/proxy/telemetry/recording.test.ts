import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ANY_REQUEST, type RequestEvent } from '../../../src/model/events.ts';
import { durationKey } from '../../../src/proxy/telemetry/http-durations.ts';
import { createTaps } from '../../../src/proxy/telemetry/taps.ts';
import { get } from '../../support/e2e-traffic.ts';
import { type EchoApp, startEchoApp } from '../../support/echo-app.ts';
import { route, startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';

let app: EchoApp;
let mesh: TestMesh;
const seen: RequestEvent[] = [];

beforeEach(async () => {
  seen.length = 0;
  app = await startEchoApp();
  const redirect = { scheme: null, host: 'new.localhost', port: null, path: null, status: 302 } as const;
  mesh = await startTestMesh({ app: { apps: [{ port: app.port, subset: 'stable' }] } }, [
    route({
      name: 'moved',
      matches: [{ path: { kind: 'prefix', value: '/old' }, methods: [], headers: [], query: [] }],
      backends: [],
      filters: { redirect } as never,
    }),
    route({
      name: 'edge',
      service: 'app',
      matches: [{ path: { kind: 'prefix', value: '/app' }, methods: [], headers: [], query: [] }],
    }),
  ]);
});

afterEach(async () => {
  await mesh.close();
  await app.close();
});

function watch(): () => void {
  const taps = createTaps([{ id: 0, filter: { ...ANY_REQUEST } }], [], {
    wallMs: Date.now,
    send: (batches, done) => {
      for (const { batch } of batches) seen.push(...batch.events);
      done();
    },
  });
  mesh.proxy.taps = taps;
  return () => taps.flush();
}

describe('what the proxies record', () => {
  it('is both sides of a hop, with one trace', async () => {
    const flush = watch();
    expect((await get(mesh.gateway, '/app/1?q=2')).status).toBe(200);
    flush();
    const inbound = seen.find(({ direction }) => direction === 'inbound')!;
    const outbound = seen.find(({ direction }) => direction === 'outbound')!;
    expect(seen).toHaveLength(2);
    expect(outbound).toMatchObject({
      source: 'gateway',
      destination: 'app',
      instance: 'app-1',
      route: 'app',
      gatewayRoute: 'edge',
      path: '/app/1?q=2',
      status: 200,
      tls: true,
      peer: 'spiffe://test.local/ns/default/sa/app',
    });
    expect(inbound).toMatchObject({
      source: 'gateway',
      destination: 'app',
      instance: 'app-1',
      route: '',
      tls: true,
      peer: 'spiffe://test.local/ns/default/sa/gateway',
    });
    expect(inbound.traceId).toBe(outbound.traceId);
    expect(inbound.parentSpanId).toBe(outbound.id);
    expect(outbound.pickedAfterMs).toBeGreaterThanOrEqual(0);
    expect(outbound.firstByteAfterMs!).toBeLessThanOrEqual(outbound.durationMs);
    expect(outbound.responseBytes).toBe(inbound.responseBytes);
  });

  it('includes what never reached a service', async () => {
    const flush = watch();
    expect((await get(mesh.gateway, '/nowhere')).status).toBe(404);
    expect((await get(mesh.gateway, '/old/x')).status).toBe(302);
    flush();
    expect(
      seen.map(({ path, destination, route: name, status, responseFlags, tls }) => ({
        path,
        destination,
        route: name,
        status,
        responseFlags,
        tls,
      })),
    ).toEqual([
      { path: '/nowhere', destination: '', route: '', status: 404, responseFlags: 'NR', tls: false },
      { path: '/old/x', destination: '', route: 'moved', status: 302, responseFlags: '', tls: false },
    ]);
    const counted = mesh.proxy.counters.snapshot('all');
    // The client's mistake is no failure of the mesh.
    expect(counted).toMatchObject([
      { responses: [0, 0, 0, 0, 1, 0], failures: 0, active: 0, gatewayRoute: '' },
      { responses: [0, 0, 0, 1, 0, 0], route: 'moved', gatewayRoute: 'moved', active: 0 },
    ]);
  });

  it('is counted by service, called instance and side', async () => {
    await get(mesh.gateway, '/app/1');
    const counted = mesh.proxy.counters
      .snapshot('changed')
      .map(({ source, destination, route: name, gatewayRoute, direction, instance, tls, requests, responses }) => ({
        source,
        destination,
        name,
        gatewayRoute,
        direction,
        instance,
        tls,
        requests,
        succeeded: responses[2],
      }));
    expect(counted).toContainEqual({
      source: 'gateway',
      destination: 'app',
      name: 'app',
      gatewayRoute: 'edge',
      direction: 'outbound',
      instance: 'gateway',
      tls: true,
      requests: 1,
      succeeded: 1,
    });
    expect(counted).toContainEqual({
      source: 'gateway',
      destination: 'app',
      name: '',
      gatewayRoute: '',
      direction: 'inbound',
      instance: 'app-1',
      tls: true,
      requests: 1,
      succeeded: 1,
    });
    expect(Object.keys(mesh.proxy.connectionCounts())).toContain('inbound app');
  });

  it('is timed by method and status, as the semantic conventions want it', async () => {
    await get(mesh.gateway, '/app/1');
    await get(mesh.gateway, '/nowhere');
    const keys = mesh.proxy.counters
      .snapshot('all')
      .flatMap(({ direction, durations }) => durations.map(([key]) => ({ direction, ...durationKey(key) })));
    expect(keys).toEqual([
      { direction: 'outbound', method: 'GET', status: 200, broken: false },
      { direction: 'inbound', method: 'GET', status: 200, broken: false },
      { direction: 'outbound', method: 'GET', status: 404, broken: false },
    ]);
  });
});
