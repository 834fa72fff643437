import { describe, expect, it } from 'vitest';
import { ok, type Result } from '../../../src/model/result.ts';
import type { Injected } from '../../../src/runtime/injection/injected.ts';
import type { Interception } from '../../../src/runtime/injection/interception.ts';
import { Oversight } from '../../../src/runtime/injection/oversight.ts';

/** Does one thing after another, as the real ones do; `inForce` is what it has done to the system. */
function interception() {
  const inForce = new Set<string>();
  let queue: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = queue.then(work);
    queue = turn;
    return turn;
  };
  let letIn = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    letIn = resolve;
  });
  const applied: string[] = [];
  const fake: Interception = {
    name: 'transparent',
    apply: ({ instance }) =>
      inTurn(async () => {
        applied.push(instance);
        await gate;
        inForce.add(instance);
        return ok([]);
      }),
    remove: (instance): Promise<Result<void>> =>
      inTurn(async () => {
        inForce.delete(instance);
        return ok(undefined);
      }),
    recover: async () => undefined,
  };
  return { fake, inForce, applied, letIn };
}

const INJECTED = {
  instance: 'legacy-injected-1',
  service: 'legacy',
  host: '127.0.0.1',
  port: 1,
  pid: process.pid,
  protocol: 'http',
  transparent: true,
  attach: false,
  state: 'ready',
  coverage: [],
  ports: { app: 1, inbound: 1, outbound: 1, dependencies: {} },
} as unknown as Injected;

function oversight(fake: Interception): Oversight {
  return new Oversight({
    network: { instances: () => [] },
    // Without an identity there is no probe: it is not what is looked at here.
    identity: { ensure: () => ({ ok: false, problems: [{ code: 'MESH-I101', message: 'none' }] }) },
    trust: () => ({ anchors: [], trustDomain: 'shop.local' }),
    interceptions: [fake],
    notice: () => undefined,
    changed: () => undefined,
  } as unknown as ConstructorParameters<typeof Oversight>[0]);
}

describe('Oversight', () => {
  it('undoes what was being applied when the mesh went down', async () => {
    const { fake, inForce, applied, letIn } = interception();
    const subject = oversight(fake);
    const begun = subject.begin(INJECTED);
    await expect.poll(() => applied).toEqual(['legacy-injected-1']);
    const closed = subject.close();
    letIn();
    await Promise.all([begun, closed]);
    expect([...inForce]).toEqual([]);
  });

  it('undoes what was being applied when its process was ejected', async () => {
    const { fake, inForce, applied, letIn } = interception();
    const subject = oversight(fake);
    const begun = subject.begin(INJECTED);
    await expect.poll(() => applied).toEqual(['legacy-injected-1']);
    const ended = subject.end(INJECTED.instance);
    letIn();
    await Promise.all([begun, ended]);
    expect([...inForce]).toEqual([]);
  });

  it('applies nothing once the mesh goes down', async () => {
    const { fake, applied, letIn } = interception();
    letIn();
    const subject = oversight(fake);
    await subject.close();
    await subject.begin(INJECTED);
    await subject.renew(new Map([[INJECTED.instance, INJECTED]]));
    expect(applied).toEqual([]);
  });
});
