import http from 'node:http';
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CapturedEvent } from '../../../src/model/bodies.ts';
import { ANY_REQUEST, type TapBatch, type TapFilter } from '../../../src/model/events.ts';
import { CaptureBudget } from '../../../src/proxy/telemetry/body-capture.ts';
import { createBodyCaptures } from '../../../src/proxy/telemetry/body-captures.ts';
import { createTaps } from '../../../src/proxy/telemetry/taps.ts';
import { startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';

let app: http.Server;
let mesh: TestMesh;
let batches: TapBatch[];

/** Answers with what it got, twice, a moment after. */
beforeEach(async () => {
  batches = [];
  app = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      response.setHeader('content-type', request.headers['content-type'] ?? 'text/plain');
      response.statusCode = request.url === '/teapot' ? 418 : 200;
      response.write(body);
      setImmediate(() => response.end(body));
    });
  });
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  mesh = await startTestMesh({ app: { apps: [{ port: (app.address() as net.AddressInfo).port }] } });
});

afterEach(async () => {
  await mesh.close();
  app.close();
});

function watch(
  filters: Partial<TapFilter>[],
  budget = new CaptureBudget(),
): { flush: () => void; budget: CaptureBudget } {
  const specs = filters.map((filter, id) => ({
    id,
    filter: { ...ANY_REQUEST, direction: 'outbound' as const, ...filter },
  }));
  const taps = createTaps(specs, [], {
    wallMs: Date.now,
    send(sent, done) {
      for (const { tap, batch } of sent) batches[tap] = batch;
      done();
    },
  });
  mesh.proxy.taps = taps;
  mesh.proxy.manager.bodies = createBodyCaptures(specs, budget);
  return { flush: () => taps.flush(), budget };
}

interface Call {
  path?: string;
  method?: string;
  headers?: Record<string, string>;
  pieces?: (string | Buffer)[];
}

async function call({ path = '/', method = 'POST', headers = {}, pieces = ['hello'] }: Call = {}): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ port: mesh.dependency.app, path, method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve(Buffer.concat(chunks)));
      response.on('error', reject);
    });
    request.on('error', reject);
    const next = (at: number) => {
      if (at === pieces.length) request.end();
      else request.write(pieces[at], () => setImmediate(next, at + 1));
    };
    next(0);
  });
}

const bodiesOf = (tap = 0, at = 0) => {
  const { captured }: CapturedEvent = batches[tap].events[at];
  if (captured === undefined) return null;
  const text = ({ data }: { data: Uint8Array }) => Buffer.from(data).toString();
  return { request: text(captured.request), response: text(captured.response), raw: captured };
};

describe('bodies in the data plane', () => {
  it('are captured in both directions, in as many pieces as they come, and give their memory back', async () => {
    const { flush, budget } = watch([{ bodyLimitBytes: 64 }]);
    const answer = await call({ pieces: ['{"a":', '1', '}'], headers: { 'content-type': 'application/json' } });
    expect(answer.toString()).toBe('{"a":1}{"a":1}');
    flush();
    expect(bodiesOf()).toMatchObject({
      request: '{"a":1}',
      response: '{"a":1}{"a":1}',
      raw: {
        request: { contentType: 'application/json', encoding: '', bytes: 7, dropped: false },
        response: { contentType: 'application/json', bytes: 14 },
      },
    });
    expect(budget.takenBytes).toBe(0);
  });

  it('are kept up to each limit, and passed on whole', async () => {
    const { flush, budget } = watch([{ bodyLimitBytes: 10 }, { bodyLimitBytes: 3_000 }, {}]);
    const large = Buffer.alloc(300_000, 'abcdefghij');
    const answer = await call({ pieces: [large.subarray(0, 5), large.subarray(5)] });
    expect(answer.equals(Buffer.concat([large, large]))).toBe(true);
    flush();
    expect(bodiesOf(0)).toMatchObject({ request: 'abcdefghij', response: 'abcdefghij' });
    expect(bodiesOf(0)?.raw.request.bytes).toBe(300_000);
    expect(bodiesOf(1)?.request).toBe(large.subarray(0, 3_000).toString());
    expect(bodiesOf(2)).toBeNull();
    expect(budget.takenBytes).toBe(0);
  });

  it('take no more memory than there is for all together; what is left out is counted', async () => {
    const budget = new CaptureBudget(3_000);
    const { flush } = watch([{ bodyLimitBytes: 1_024 * 1_024 }], budget);
    const answer = await call({ pieces: [Buffer.alloc(2_500, 'a'), Buffer.alloc(2_500, 'b')] });
    expect(answer.length).toBe(10_000);
    flush();
    expect(budget.takenBytes).toBe(0);
    expect(batches[0]).toMatchObject({ bodiesDropped: 1 });
    expect(bodiesOf()?.raw.request).toMatchObject({ bytes: 5_000, dropped: true });
    expect(bodiesOf()?.raw.response).toMatchObject({ bytes: 10_000, dropped: true });
    expect(bodiesOf()!.request.length).toBeLessThanOrEqual(3_000);
  });

  it('are not even looked at where no tap can want them', async () => {
    const asked: string[] = [];
    const budget = new (class extends CaptureBudget {
      override take(bytes: number): boolean {
        asked.push(String(bytes));
        return super.take(bytes);
      }
    })();
    const { flush } = watch(
      [
        { bodyLimitBytes: 64, path: '/other' },
        { bodyLimitBytes: 64, method: 'PUT' },
        { bodyLimitBytes: 64, to: 'another' },
        { bodyLimitBytes: 64, from: 'another' },
        { bodyLimitBytes: 64, service: 'another' },
        { bodyLimitBytes: 64, route: 'another' },
        { bodyLimitBytes: 64, protocol: 'grpc' },
        { bodyLimitBytes: 64, direction: 'outbound', headers: [['x-user', '42']] },
        {},
      ],
      budget,
    );
    await call();
    flush();
    expect(batches[8].events).toHaveLength(1);
    expect(bodiesOf(8)).toBeNull();
    expect(asked).toEqual([]);
    await call({ headers: { 'X-User': '42' } });
    flush();
    expect(bodiesOf(7)).toMatchObject({ request: 'hello', response: 'hellohello' });
    expect(asked.length).toBeGreaterThan(0);
  });

  it('are let go of where the end shows that the filter does not want them, or the client goes away', async () => {
    const { flush, budget } = watch([{ bodyLimitBytes: 64, status: '5xx' }]);
    await call({ path: '/teapot' });
    flush();
    expect(batches[0]).toMatchObject({ events: [], filtered: 1 });
    expect(budget.takenBytes).toBe(0);
    const socket = net.connect(mesh.dependency.app, '127.0.0.1');
    socket.write('POST / HTTP/1.1\r\nhost: app\r\ncontent-length: 100\r\n\r\nsome of it');
    const deadline = Date.now() + 5_000;
    while (budget.takenBytes === 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(budget.takenBytes).toBeGreaterThan(0);
    socket.destroy();
    while (budget.takenBytes > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(budget.takenBytes).toBe(0);
  });

  it('give their memory back too when the last tap ends while they are under way', async () => {
    const { budget } = watch([{ bodyLimitBytes: 64 }]);
    const pieces = ['one', 'two'];
    const done = call({ pieces });
    mesh.proxy.taps = null;
    mesh.proxy.manager.bodies = null;
    expect((await done).toString()).toBe('onetwoonetwo');
    expect(budget.takenBytes).toBe(0);
  });
});
