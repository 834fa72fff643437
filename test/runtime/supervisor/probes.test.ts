import * as http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import grpc from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { ResolvedProbe } from '../../../src/model/resolved.ts';
import { type ProbeOutcome, type ProbeTarget, probeOnce } from '../../../src/runtime/supervisor/probe-actions.ts';
import { ProbeLoop } from '../../../src/runtime/supervisor/probes.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { freePort, probe } from './mesh-fixture.ts';

const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const target = (port: number | null, protocol: ProbeTarget['protocol'] = 'http'): ProbeTarget => ({
  port,
  protocol,
  run: async () => ({ code: 0, reason: '' }),
});

async function listen(server: net.Server): Promise<number> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as net.AddressInfo).port;
}

const within = (ms: number): AbortSignal => AbortSignal.timeout(ms);
const patient = (): AbortSignal => within(5_000);

describe('one probe', () => {
  it('http takes 200 to 399, over HTTP/1.1 or, where declared, HTTP/2', async () => {
    const answer = (
      request: { url?: string },
      response: { writeHead(status: number): unknown; end(): unknown },
    ): void => {
      response.writeHead(Number(request.url?.slice(1)));
      response.end();
    };
    const one = await listen(http.createServer(answer));
    const two = await listen(http2.createServer(answer as never));
    for (const [port, protocol] of [
      [one, 'http'],
      [two, 'grpc'],
    ] as const)
      for (const status of [200, 204, 302, 399, 400, 404, 503])
        expect(
          await probeOnce({ kind: 'http', path: `/${status}`, port: null }, target(port, protocol), patient()),
        ).toEqual(status < 400 ? { ok: true } : { ok: false, reason: `GET /${status}: status ${status}` });
    // A port of its own is not what `protocol` speaks of.
    expect(await probeOnce({ kind: 'http', path: '/200', port: one }, target(two, 'grpc'), patient())).toEqual({
      ok: true,
    });
  });

  it('tcp connects, and leaves in good order', async () => {
    let error: Error | null = null;
    const port = await listen(
      net.createServer((socket) => socket.on('error', (caught) => (error = caught)).write('220 hello\r\n')),
    );
    expect(await probeOnce({ kind: 'tcp', port: null }, target(port), patient())).toEqual({ ok: true });
    expect(await probeOnce({ kind: 'tcp', port: await freePort() }, target(port), patient())).toMatchObject({
      ok: false,
      reason: expect.stringContaining('connection refused'),
    });
    expect(error).toBeNull();
  });

  it('grpc asks for the health of a real server', async () => {
    const health = new HealthImplementation({
      '': 'SERVING',
      'shop.Orders': 'NOT_SERVING',
      ['x'.repeat(200)]: 'SERVING',
    });
    const server = new grpc.Server();
    health.addToServer(server);
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    ends.push(() => server.forceShutdown());
    const ask = (service: string): Promise<ProbeOutcome> =>
      probeOnce({ kind: 'grpc', service }, target(port, 'grpc'), patient());
    expect(await ask('')).toEqual({ ok: true });
    expect(await ask('x'.repeat(200))).toEqual({ ok: true });
    expect(await ask('shop.Orders')).toEqual({ ok: false, reason: 'gRPC health of shop.Orders: NOT_SERVING' });
    expect(await ask('nobody')).toEqual({
      ok: false,
      reason: 'gRPC health of nobody: the server knows no such service',
    });
    health.setStatus('shop.Orders', 'SERVING');
    expect(await ask('shop.Orders')).toEqual({ ok: true });
  });

  it('grpc says what else is wrong', async () => {
    const server = new grpc.Server();
    const port = await new Promise<number>((resolve) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (_error, bound) => resolve(bound)),
    );
    ends.push(() => server.forceShutdown());
    const ask = (at: number): Promise<ProbeOutcome> =>
      probeOnce({ kind: 'grpc', service: '' }, target(at, 'grpc'), patient());
    expect(await ask(port)).toMatchObject({
      ok: false,
      reason: expect.stringContaining('does not implement grpc.health.v1.Health'),
    });
    const plain = await listen(http2.createServer((_request, response) => response.writeHead(404).end()));
    expect(await ask(plain)).toMatchObject({ ok: false, reason: expect.stringContaining('HTTP status 404') });
    expect(await ask(await listen(http.createServer()))).toMatchObject({ ok: false });
    expect(await ask(await freePort())).toMatchObject({
      ok: false,
      reason: expect.stringContaining('connection refused'),
    });
  });

  it('gives up when told to', async () => {
    const silent = await listen(net.createServer(() => {}));
    for (const [action, protocol] of [
      [{ kind: 'http', path: '/', port: null }, 'http'],
      [{ kind: 'http', path: '/', port: null }, 'http2'],
      [{ kind: 'grpc', service: '' }, 'grpc'],
    ] as const)
      expect(await probeOnce(action, target(silent, protocol), within(50))).toMatchObject({
        ok: false,
        reason: expect.stringContaining('no answer in time'),
      });
    expect(await probeOnce({ kind: 'tcp', port: null }, target(null), patient())).toMatchObject({ ok: false });
  });
});

describe('the loop', () => {
  function loop(
    more: Partial<ResolvedProbe>,
    answers: (count: number, signal: AbortSignal) => ProbeOutcome | Promise<ProbeOutcome>,
    liveness = false,
  ) {
    const clock = new FakeClock();
    const happened: string[] = [];
    const times: number[] = [];
    const startMs = clock.now();
    const probing = new ProbeLoop({
      probe: probe({ kind: 'tcp', port: null }, more),
      clock,
      check: async (signal) => {
        times.push(clock.now() - startMs);
        return answers(times.length, signal);
      },
      onPass: () => happened.push(`pass at ${clock.now() - startMs}`),
      onFail: (reason) => happened.push(`fail at ${clock.now() - startMs}: ${reason}`),
      onDeadline: liveness ? null : (reason) => happened.push(`deadline at ${clock.now() - startMs}: ${reason}`),
    });
    probing.start();
    return { clock, happened, times, probing };
  }

  const no: ProbeOutcome = { ok: false, reason: 'refused' };
  const yes: ProbeOutcome = { ok: true };

  it('is quick at first, then slower, then steady', async () => {
    const { clock, happened, times, probing } = loop({}, (count) => (count < 20 ? no : yes));
    await clock.advanceAsync(30_000);
    const gaps = times.slice(1).map((time, index) => time - times[index]);
    expect(gaps[0]).toBeLessThanOrEqual(20);
    expect(Math.max(...gaps.slice(0, 19))).toBe(200);
    expect(gaps.slice(19).every((gap) => gap === 5_000)).toBe(true);
    expect(happened).toEqual([`pass at ${times[19]}`]);
    probing.stop();
    expect(clock.pending).toBe(0);
  });

  it('counts to its thresholds, and comes back by itself', async () => {
    const answers = [yes, no, yes, yes, no, no, yes, no, no, no, yes, yes];
    const { clock, happened, probing } = loop(
      { intervalMs: 10, successThreshold: 2, failureThreshold: 3 },
      (count) => answers[count - 1] ?? yes,
    );
    await clock.advanceAsync(150);
    expect(happened).toEqual(['pass at 30', 'fail at 90: refused', 'pass at 110']);
    probing.stop();
  });

  it('reports the deadline once, and goes on', async () => {
    const { clock, happened, probing } = loop({ deadlineMs: 1_000, initialDelayMs: 100 }, (count) =>
      count < 30 ? no : yes,
    );
    await clock.advanceAsync(20_000);
    expect(happened[0]).toBe('deadline at 1000: refused');
    expect(happened[1]).toMatch(/^pass/);
    expect(happened).toHaveLength(2);
    probing.stop();
  });

  it('a probe without answer fails by its timeout, by running time and not by the wall clock', async () => {
    const silent = (_count: number, signal: AbortSignal): Promise<ProbeOutcome> =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve({ ok: true })));
    const { clock, happened, probing } = loop({ timeoutMs: 500, failureThreshold: 1, intervalMs: 100 }, silent, true);
    clock.jump(3_600_000);
    await clock.advanceAsync(499);
    expect(happened).toEqual([]);
    await clock.advanceAsync(1);
    expect(happened).toEqual(['fail at 3600500: no answer in time']);
    probing.stop();
    expect(clock.pending).toBe(0);
  });

  it('liveness counts failures from the start', async () => {
    const { clock, happened, probing } = loop({ intervalMs: 100, failureThreshold: 3 }, () => no, true);
    await clock.advanceAsync(250);
    expect(happened).toEqual(['fail at 200: refused']);
    probing.stop();
  });
});
