import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';

const namesIn = (headers: http2.IncomingHttpHeaders): string[] =>
  (headers as unknown as Record<symbol, string[] | undefined>)[http2.sensitiveHeaders] ?? [];

describe('fields that are never to be indexed (RFC 7541 section 6.2.3)', () => {
  let app: http2.Http2Server;
  let mesh: TestMesh;
  let client: http2.ClientHttp2Session;
  const seen: string[][] = [];

  beforeAll(async () => {
    app = http2.createServer();
    app.on('stream', (stream, headers) => {
      seen.push([...namesIn(headers)].sort());
      stream.respond({
        'x-response-secret': 'b',
        'x-open': 'c',
        [http2.sensitiveHeaders]: ['x-response-secret'],
      });
      stream.end();
    });
    app.listen(0, '127.0.0.1');
    await once(app, 'listening');
    mesh = await startTestMesh({ app: { protocol: 'http2', apps: [{ port: (app.address() as AddressInfo).port }] } });
    client = http2.connect(`http://127.0.0.1:${mesh.dependency.app}`);
    await once(client, 'connect');
  });

  afterAll(async () => {
    client.destroy();
    await mesh.close();
    app.close();
  });

  async function ask(headers: http2.OutgoingHttpHeaders): Promise<http2.IncomingHttpHeaders> {
    const stream = client.request(headers);
    stream.resume();
    const [head] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    await once(stream, 'close');
    return head;
  }

  it('stay so on every hop, in both directions', async () => {
    const secret = { 'x-secret': 'a', 'x-other': 'a', [http2.sensitiveHeaders]: ['x-secret'] };
    // More than once: a field that was indexed on the way would be told by its place in the table.
    for (let i = 0; i < 3; i++) {
      const head = await ask(secret);
      expect(head['x-response-secret']).toBe('b');
      expect(namesIn(head)).toEqual(['x-response-secret']);
    }
    expect(seen).toEqual([['x-secret'], ['x-secret'], ['x-secret']]);
  });

  it('are not those of another request', async () => {
    await ask({ 'x-secret': 'a', [http2.sensitiveHeaders]: ['x-secret'] });
    await ask({ 'x-secret': 'a' });
    expect(seen.at(-1)).toEqual([]);
  });
});
