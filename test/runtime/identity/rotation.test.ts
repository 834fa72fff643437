import { X509Certificate } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { fail, type Problem } from '../../../src/model/result.ts';
import type { CertificateAuthority, Svid } from '../../../src/runtime/identity/certificate-authority.ts';
import { IdentityRotation, type RotationOptions } from '../../../src/runtime/identity/rotation.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { authority, cleanUp, code, DAY_MS, temporaryDirectory, value } from './fixture.ts';

cleanUp();

const HOUR_MS = 60 * 60_000;
const open: IdentityRotation[] = [];
afterEach(() => {
  for (const rotation of open.splice(0)) rotation.close();
});

async function rotationOf(
  options: Partial<RotationOptions> & { wrap?: (ca: CertificateAuthority) => CertificateAuthority } = {},
) {
  const clock = new FakeClock();
  const real = await authority(await temporaryDirectory(), { clock });
  const ca = options.wrap?.(real) ?? real;
  const problems: Problem[] = [];
  const rotation = new IdentityRotation({
    authority: ca,
    clock,
    ttlMs: DAY_MS,
    random: () => 0,
    onProblem: (problem) => problems.push(problem),
    ...options,
  });
  open.push(rotation);
  const changes: (readonly Svid[])[] = [];
  const unsubscribe = rotation.onChange((svids) => changes.push(svids));
  return { clock, ca, rotation, problems, changes, unsubscribe };
}

const serials = (svids: readonly Svid[]) => svids.map((svid) => svid.serial);

describe('IdentityRotation', () => {
  it('issues once for each service', async () => {
    const { rotation, changes } = await rotationOf({ namespace: 'prod' });
    const orders = value(rotation.ensure('orders'));
    expect(value(rotation.ensure('orders'))).toBe(orders);
    const web = value(rotation.ensure('web'));
    expect(web.spiffeId).toBe('spiffe://shop.local/ns/prod/sa/web');
    expect(rotation.list()).toEqual([orders, web]);
    expect(changes.map(serials)).toEqual([[orders.serial], [orders.serial, web.serial]]);
  });

  it('replaces a certificate at 80 % of its time, not before', async () => {
    const { clock, rotation, changes } = await rotationOf({ ttlMs: 10 * HOUR_MS });
    const first = value(rotation.ensure('orders'));
    clock.advance(8 * HOUR_MS - 1000);
    expect(changes).toHaveLength(1);
    clock.advance(2000);
    expect(changes).toHaveLength(2);
    const [second] = rotation.list();
    expect(second!.serial).not.toBe(first.serial);
    expect(second!.privateKeyPem).not.toBe(first.privateKeyPem);
    expect(clock.now()).toBeLessThan(first.notAfter);
    clock.advance(30 * DAY_MS);
    expect(rotation.list()[0]!.notAfter).toBeGreaterThan(clock.now());
    expect(changes.length).toBeGreaterThanOrEqual(90);
    expect(changes.length).toBeLessThanOrEqual(92);
  });

  it('spreads rotations by chance, never later than 80 %', async () => {
    let next = 0;
    const { clock, rotation, changes } = await rotationOf({
      ttlMs: 100 * HOUR_MS,
      random: () => (next++ % 2) * 0.9999,
    });
    rotation.ensure('early-later');
    rotation.ensure('orders');
    clock.advance(76.1 * HOUR_MS);
    expect(changes).toHaveLength(3);
    clock.advance(3.8 * HOUR_MS);
    expect(changes).toHaveLength(3);
    clock.advance(0.2 * HOUR_MS);
    expect(changes).toHaveLength(4);
  });

  it('works with a time of seconds', async () => {
    const { clock, rotation, changes } = await rotationOf({ ttlMs: 5_000 });
    rotation.ensure('orders');
    for (let i = 0; i < 600; i++) {
      clock.advance(100);
      expect(rotation.list()[0]!.notAfter).toBeGreaterThan(clock.now());
    }
    expect(changes.length).toBeGreaterThanOrEqual(12);
    expect(changes.length).toBeLessThanOrEqual(20);
  });

  it('replaces all within half a minute of waking from sleep', async () => {
    const { clock, rotation } = await rotationOf();
    const before = serials([value(rotation.ensure('orders')), value(rotation.ensure('web'))]);
    clock.jump(3 * DAY_MS);
    clock.advance(30_000);
    const after = rotation.list();
    expect(serials(after).some((serial) => before.includes(serial))).toBe(false);
    for (const svid of after) expect(svid.notAfter).toBeGreaterThan(clock.now());
  });

  it('replaces certificates that a clock set back makes invalid', async () => {
    const { clock, rotation } = await rotationOf();
    const before = value(rotation.ensure('orders'));
    clock.jump(-2 * HOUR_MS);
    clock.advance(30_000);
    expect(rotation.list()[0]!.serial).not.toBe(before.serial);
    expect(rotation.list()[0]!.notBefore).toBeLessThanOrEqual(clock.now());
  });

  it('does not hand out a certificate that expired while nobody looked', async () => {
    const { clock, rotation } = await rotationOf();
    const before = value(rotation.ensure('orders'));
    clock.jump(3 * DAY_MS);
    expect(value(rotation.ensure('orders')).serial).not.toBe(before.serial);
  });

  it('renews the intermediate, and issues all chains again', async () => {
    const { clock, ca, rotation, problems } = await rotationOf();
    rotation.ensure('orders');
    const before = ca.intermediatePem;
    clock.jump(340 * DAY_MS);
    await clock.advanceAsync(30_000);
    await expect.poll(() => ca.intermediatePem !== before).toBe(true);
    await expect.poll(() => rotation.list()[0]!.certificatePem.endsWith(ca.intermediatePem)).toBe(true);
    expect(problems).toEqual([]);
  });

  it('survives a sleep longer than the intermediate', async () => {
    const { clock, rotation } = await rotationOf();
    rotation.ensure('orders');
    clock.jump(500 * DAY_MS);
    await clock.advanceAsync(30_000);
    await expect.poll(() => rotation.list()[0]!.notAfter > clock.now()).toBe(true);
    const chain = rotation.list()[0]!.certificatePem.split(/(?<=-----END CERTIFICATE-----\n)/);
    expect(Date.parse(new X509Certificate(chain[1]!).validTo)).toBeGreaterThan(clock.now());
  });

  it('rotates on demand: one, or all', async () => {
    const { rotation, changes } = await rotationOf();
    const orders = value(rotation.ensure('orders'));
    const web = value(rotation.ensure('web'));
    const gateway = value(rotation.ensureGateway(['shop.localhost']));
    const [rotated] = value(rotation.rotate('orders'));
    expect(rotated!.serial).not.toBe(orders.serial);
    expect(serials(rotation.list())).toEqual([rotated!.serial, web.serial]);
    expect(value(rotation.rotate())).toHaveLength(2);
    expect(serials(rotation.list())).not.toContain(web.serial);
    expect(rotation.gateway()!.serial).not.toBe(gateway.serial);
    expect(changes).toHaveLength(5);
    expect(code(rotation.rotate('payments'))).toBe('MESH-I109');
  });

  it('keeps the certificate of the gateway until its hosts change', async () => {
    const { clock, rotation, changes } = await rotationOf();
    expect(rotation.gateway()).toBeUndefined();
    const first = value(rotation.ensureGateway(['a.localhost']));
    expect(value(rotation.ensureGateway(['a.localhost']))).toBe(first);
    const second = value(rotation.ensureGateway(['a.localhost', 'b.localhost']));
    expect(new X509Certificate(second.certificatePem).subjectAltName).toContain('DNS:b.localhost');
    expect(code(rotation.ensureGateway(['not a host']))).toBe('MESH-I123');
    expect(rotation.gateway()).toBe(second);
    expect(rotation.list()).toEqual([]);
    expect(changes).toEqual([[], []]);
    clock.jump(80 * DAY_MS);
    clock.advance(30_000);
    expect(rotation.gateway()!.serial).not.toBe(second.serial);
  });

  it('keeps the certificate in force while none can be issued, and tries again at the pace of its checks', async () => {
    let broken = false;
    const { clock, rotation, problems, changes } = await rotationOf({
      wrap: (ca) => ({
        ...ca,
        issueSvid: (service, options) =>
          broken ? fail({ code: 'MESH-I108', message: 'broken' }) : ca.issueSvid(service, options),
      }),
    });
    const first = value(rotation.ensure('orders'));
    broken = true;
    clock.advance(0.8 * DAY_MS + 5 * 60_000);
    expect(rotation.list()).toEqual([first]);
    expect(problems.length).toBeGreaterThanOrEqual(9);
    expect(problems.length).toBeLessThanOrEqual(12);
    expect(code(rotation.rotate())).toBe('MESH-I108');
    broken = false;
    clock.advance(30_000);
    expect(rotation.list()[0]!.serial).not.toBe(first.serial);
    expect(changes).toHaveLength(2);
  });

  it('takes a shorter time into account at once, a longer one at the next rotation', async () => {
    const { clock, rotation } = await rotationOf();
    const first = value(rotation.ensure('orders'));
    clock.advance(HOUR_MS);
    rotation.setTtl(30 * 60_000);
    clock.advance(1000);
    const second = rotation.list()[0]!;
    expect(second.serial).not.toBe(first.serial);
    expect(second.notAfter - clock.now()).toBeLessThanOrEqual(30 * 60_000);
    rotation.setTtl(DAY_MS);
    clock.advance(1000);
    expect(rotation.list()[0]).toBe(second);
    clock.advance(HOUR_MS);
    expect(rotation.list()[0]!.notAfter - clock.now()).toBeGreaterThan(22 * HOUR_MS);
  });

  it('forgets a service, and stops asking when it has none', async () => {
    const { clock, rotation, changes } = await rotationOf();
    rotation.ensure('orders');
    rotation.forget('orders');
    rotation.forget('orders');
    expect(changes.map((svids) => svids.length)).toEqual([1, 0]);
    clock.advance(60_000);
    expect(clock.pending).toBe(0);
  });

  it('stops telling who unsubscribed, and leaves no timer when closed', async () => {
    const { clock, rotation, changes, unsubscribe } = await rotationOf();
    rotation.ensure('orders');
    unsubscribe();
    rotation.rotate();
    expect(changes).toHaveLength(1);
    rotation.close();
    expect(clock.pending).toBe(0);
    clock.advance(2 * DAY_MS);
    expect(clock.pending).toBe(0);
  });
});
