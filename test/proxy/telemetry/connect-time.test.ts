import { afterEach, beforeEach, expect, it } from 'vitest';
import { ANY_REQUEST, type RequestEvent } from '../../../src/model/events.ts';
import { createTaps } from '../../../src/proxy/telemetry/taps.ts';
import { get } from '../../support/e2e-traffic.ts';
import { type EchoApp, startEchoApp } from '../../support/echo-app.ts';
import { startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';

let app: EchoApp;
let mesh: TestMesh;
beforeEach(async () => {
  app = await startEchoApp();
  mesh = await startTestMesh({ app: { apps: [{ port: app.port }] } });
});
afterEach(async () => {
  await mesh.close();
  await app.close();
});

it('the time of a connection is told of the request that waited for it, and of no other', async () => {
  const seen: RequestEvent[] = [];
  const taps = createTaps([{ id: 0, filter: { ...ANY_REQUEST, direction: 'outbound' } }], [], {
    wallMs: Date.now,
    send: (batches, done) => {
      for (const { batch } of batches) seen.push(...batch.events);
      done();
    },
  });
  mesh.proxy.taps = taps;
  await get(mesh.dependency.app, '/');
  await get(mesh.dependency.app, '/');
  taps.flush();
  const [first, second] = seen;
  expect(first.connectedAfterMs).toBeGreaterThan(first.pickedAfterMs!);
  expect(first.connectedAfterMs).toBeLessThan(first.firstByteAfterMs!);
  expect(second.connectedAfterMs).toBeNull();
});
