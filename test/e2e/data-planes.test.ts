import { describe, expect, it } from 'vitest';
import { cleanUpMeshes, startMesh } from '../support/e2e.ts';
import { ECHO, type EchoAnswer, echo, routesTo } from '../support/e2e-services.ts';
import { get, getJson } from '../support/e2e-traffic.ts';

cleanUpMeshes();

const NAMES = ['one', 'two', 'three', 'four'];
const config = (weights: [number, number]) => ({
  proxies: 2,
  gateway: { routes: routesTo(...NAMES) },
  services: {
    one: echo({ dependsOn: ['two', 'three', 'four'] }),
    two: echo(),
    three: echo(),
    four: echo({
      subsets: { old: { env: { VERSION: 'old' } }, new: { env: { VERSION: 'new' } } },
      routes: [
        {
          backends: [
            { subset: 'old', weight: weights[0] },
            { subset: 'new', weight: weights[1] },
          ],
        },
      ],
    }),
  },
});

describe('workloads over two data planes', () => {
  it('reach each other, see a save together, and outlive the end of one', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, config([1, 0]));
    const before = await mesh.status();
    expect(before.dataPlanePids).toHaveLength(2);
    const version = async () => {
      const answer = await getJson<EchoAnswer>(mesh.gatewayPort, '/one/call?env=FOUR_URL');
      return answer.called?.body.version;
    };
    const allAnswer = async () => {
      for (const name of NAMES) expect((await get(mesh.gatewayPort, `/${name}`)).status, name).toBe(200);
      for (const name of ['TWO', 'THREE']) {
        expect((await get(mesh.gatewayPort, `/one/call?env=${name}_URL`)).status, name).toBe(200);
      }
    };
    await allAnswer();
    expect(await version()).toBe('old');

    mesh.config(config([0, 1]));
    await mesh.statusWhen(
      ({ config }) => config.version > before.config.version && config.loadedAt > before.config.loadedAt,
    );
    expect(await version()).toBe('new');

    process.kill(before.dataPlanePids[0], 'SIGKILL');
    const after = await mesh.statusWhen(
      ({ dataPlanePids }) => dataPlanePids.length === 2 && !dataPlanePids.includes(before.dataPlanePids[0]),
    );
    expect(after.dataPlanePids).toContain(before.dataPlanePids[1]);
    await allAnswer();
    expect(await version()).toBe('new');
  });
});
