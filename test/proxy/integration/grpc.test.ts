import { once } from 'node:events';
import grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { route, startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';
import { eventually, settled } from '../../support/traffic.ts';

const bytes = (value: Buffer): Buffer => value;
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});
const ECHO = {
  Unary: method('Unary', false, false),
  Collect: method('Collect', true, false),
  Count: method('Count', false, true),
  Chat: method('Chat', true, true),
  Hang: method('Hang', false, true),
};
const EchoClient = grpc.makeGenericClientConstructor(ECHO, 'Echo');

// biome-ignore lint/suspicious/noExplicitAny: grpc-js makes the methods of generic clients at run time
type Client = any;

interface Result {
  error: grpc.ServiceError | null;
  value: Buffer | undefined;
  metadata: grpc.Metadata | null;
  trailers: grpc.Metadata | null;
}

function unary(client: Client, body: Buffer, metadata = new grpc.Metadata(), options: grpc.CallOptions = {}) {
  return new Promise<Result>((resolve) => {
    const result: Result = { error: null, value: undefined, metadata: null, trailers: null };
    const call: grpc.ClientUnaryCall = client.Unary(
      body,
      metadata,
      options,
      (error: grpc.ServiceError | null, value: Buffer | undefined) => {
        result.error = error;
        result.value = value;
      },
    );
    call.on('metadata', (m: grpc.Metadata) => (result.metadata = m));
    call.on('status', (status: grpc.StatusObject) => {
      result.trailers = status.metadata;
      setImmediate(() => resolve(result));
    });
  });
}

describe('gRPC through two proxies', () => {
  let server: grpc.Server;
  let mesh: TestMesh;
  let client: Client;
  const deadlines: number[] = [];
  let hanging = 0;
  let cancelled = 0;
  let calls = 0;

  beforeAll(async () => {
    server = new grpc.Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
    server.addService(ECHO as unknown as grpc.ServiceDefinition, {
      Unary(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
        calls++;
        const text = call.request.toString('latin1', 0, 40);
        const deadline = call.getDeadline();
        deadlines.push(deadline instanceof Date ? deadline.getTime() - Date.now() : deadline - Date.now());
        const code = Number(call.metadata.get('want-code')[0] ?? 0);
        const trailer = new grpc.Metadata();
        trailer.set('x-trailer', 'end');
        trailer.set('x-trailer-bin', Buffer.from([0, 255, 1]));
        if (code !== 0) return done({ code, details: 'Fehler: größer & 100%', metadata: trailer });
        if (text.startsWith('slow')) return;
        const initial = new grpc.Metadata();
        for (const value of call.metadata.get('x-bin-bin')) initial.add('x-bin-bin', value);
        initial.set('x-seen', String(call.metadata.get('x-plain')[0]));
        call.sendMetadata(initial);
        done(null, call.request, trailer);
      },
      Collect(call: grpc.ServerReadableStream<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
        let n = 0;
        call.on('data', (chunk: Buffer) => (n += chunk.length));
        call.on('end', () => done(null, Buffer.from(String(n))));
      },
      Count(call: grpc.ServerWritableStream<Buffer, Buffer>) {
        const n = Number(call.request.toString());
        for (let i = 0; i < n; i++) call.write(Buffer.from(String(i)));
        call.end();
      },
      Chat(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
        call.on('data', (chunk: Buffer) => call.write(Buffer.concat([Buffer.from('re:'), chunk])));
        call.on('end', () => call.end());
      },
      Hang(call: grpc.ServerWritableStream<Buffer, Buffer>) {
        hanging++;
        call.write(Buffer.from('first'));
        call.on('cancelled', () => cancelled++);
      },
    });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (e, p) => (e ? reject(e) : resolve(p)));
    });
    mesh = await startTestMesh({
      echo: {
        protocol: 'grpc',
        apps: [{ port }],
        routes: [
          {
            ...route({ service: 'echo', name: 'short' }),
            matches: [
              {
                path: null,
                methods: [],
                headers: [{ name: 'x-short', match: { kind: 'present', value: true } }],
                query: [],
              },
            ],
            timeouts: { requestMs: 300, idleMs: 0 },
          },
          {},
        ],
      },
      // Nobody listens on port 1.
      dead: { protocol: 'grpc', apps: [{ port: 1 }], cluster: { parking: { timeoutMs: 100, maxRequests: 10 } } },
      waiting: {
        protocol: 'grpc',
        apps: [{ port, state: 'starting' }],
        cluster: { parking: { timeoutMs: 50, maxRequests: 10 } },
      },
    });
    client = new EchoClient(`127.0.0.1:${mesh.dependency.echo}`, grpc.credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
    });
  });

  afterAll(async () => {
    client?.close();
    server?.forceShutdown();
    await mesh?.close();
  });

  it('passes unary calls with metadata, binary metadata and trailers', async () => {
    const metadata = new grpc.Metadata();
    metadata.set('x-plain', 'hello');
    metadata.add('x-bin-bin', Buffer.from([0, 1, 2, 250, 255]));
    metadata.add('x-bin-bin', Buffer.from('second'));
    const { error, value, metadata: initial, trailers } = await unary(client, Buffer.from('ping'), metadata);
    expect(error).toBeNull();
    expect(value!.toString()).toBe('ping');
    expect(initial!.get('x-seen')).toEqual(['hello']);
    expect(initial!.get('x-bin-bin')).toEqual([Buffer.from([0, 1, 2, 250, 255]), Buffer.from('second')]);
    expect(trailers!.get('x-trailer')).toEqual(['end']);
    expect(trailers!.get('x-trailer-bin')).toEqual([Buffer.from([0, 255, 1])]);
  });

  it('streams from the client, from the server and both ways', async () => {
    const collected = await new Promise<string>((resolve, reject) => {
      const call = client.Collect((error: Error | null, value: Buffer) =>
        error ? reject(error) : resolve(String(value)),
      );
      for (let i = 0; i < 100; i++) call.write(Buffer.alloc(1000));
      call.end();
    });
    expect(collected).toBe('100000');

    const counted: string[] = [];
    const count = client.Count(Buffer.from('500'));
    count.on('data', (chunk: Buffer) => counted.push(chunk.toString()));
    await once(count, 'end');
    expect(counted).toEqual(Array.from({ length: 500 }, (_, i) => String(i)));

    const chat = client.Chat();
    for (const word of ['a', 'b', 'c']) {
      chat.write(Buffer.from(word));
      const [answer] = await once(chat, 'data');
      expect(answer.toString()).toBe(`re:${word}`);
    }
    chat.end();
    const [status] = await once(chat, 'status');
    expect(status.code).toBe(0);
  });

  it('passes errors with code, message and trailers', async () => {
    for (const code of [3, 5, 9, 16]) {
      const metadata = new grpc.Metadata();
      metadata.set('want-code', String(code));
      const { error, trailers } = await unary(client, Buffer.from('x'), metadata);
      expect([error!.code, error!.details]).toEqual([code, 'Fehler: größer & 100%']);
      expect(trailers!.get('x-trailer-bin')).toEqual([Buffer.from([0, 255, 1])]);
    }
  });

  it('passes large messages unchanged', async () => {
    const body = Buffer.alloc(8 * 1024 * 1024);
    for (let i = 0; i < body.length; i += 4) body.writeUInt32LE((i * 2654435761) >>> 0, i);
    const { error, value } = await unary(client, body);
    expect(error).toBeNull();
    expect(body.equals(value!)).toBe(true);
  });

  it('keeps the deadline of the client and shortens it to that of the route', async () => {
    deadlines.length = 0;
    await unary(client, Buffer.from('x'), undefined, { deadline: Date.now() + 60_000 });
    expect(deadlines[0]).toBeGreaterThan(50_000);
    const short = new grpc.Metadata();
    short.set('x-short', '1');
    await unary(client, Buffer.from('x'), short, { deadline: Date.now() + 60_000 });
    expect(deadlines[1]).toBeLessThanOrEqual(300);
    const started = performance.now();
    const { error } = await unary(client, Buffer.from('slow'), short.clone());
    expect(error!.code).toBe(grpc.status.DEADLINE_EXCEEDED);
    expect(performance.now() - started).toBeLessThan(5_000);
    await settled(mesh);
  });

  it('ends a stream that has begun with DEADLINE_EXCEEDED, by trailers', async () => {
    const short = new grpc.Metadata();
    short.set('x-short', '1');
    const call = client.Hang(Buffer.from('x'), short);
    const status = new Promise<grpc.StatusObject>((resolve) => call.on('status', resolve));
    call.on('error', () => {});
    const [first] = await once(call, 'data');
    expect(first.toString()).toBe('first');
    expect(await status).toMatchObject({
      code: grpc.status.DEADLINE_EXCEEDED,
      details: 'echo did not answer within the request timeout',
    });
    await settled(mesh);
  });

  it('tells the server when the client cancels', async () => {
    const before = { hanging, cancelled };
    const call = client.Hang(Buffer.from('x'));
    call.on('error', () => {});
    await once(call, 'data');
    expect(hanging).toBe(before.hanging + 1);
    call.cancel();
    await eventually(() => cancelled > before.cancelled, 'the server sees the cancellation');
    await settled(mesh);
  });

  it('answers UNAVAILABLE with a reason, not with an HTTP error', async () => {
    for (const [name, text, flag] of [
      ['dead', /no connection to dead/, 'UF'],
      ['waiting', /no healthy endpoint of waiting: 1 of 1 starting; see `mesh logs waiting`/, 'UH'],
    ] as const) {
      const other: Client = new EchoClient(`127.0.0.1:${mesh.dependency[name]}`, grpc.credentials.createInsecure());
      const { error, trailers } = await unary(other, Buffer.from('x'));
      other.close();
      expect(error!.code, name).toBe(grpc.status.UNAVAILABLE);
      expect(error!.details).toMatch(text);
      expect(trailers!.get('x-mesh-response-flags')).toEqual([flag]);
    }
    await settled(mesh);
  });

  it('carries many calls at once on one link', async () => {
    calls = 0;
    const results = await Promise.all(Array.from({ length: 300 }, (_, i) => unary(client, Buffer.from(`call ${i}`))));
    expect(results.map((r) => r.value?.toString())).toEqual(results.map((_, i) => `call ${i}`));
    expect(calls).toBe(300);
    await settled(mesh);
  });

  it('works by grpc_proxy: CONNECT to the service through the outbound port', async () => {
    const before = process.env.grpc_proxy;
    process.env.grpc_proxy = `http://127.0.0.1:${mesh.outbound}`;
    const proxied: Client = new EchoClient('echo:80', grpc.credentials.createInsecure());
    const first = unary(proxied, Buffer.from('by proxy'));
    // The environment is read when the channel is made.
    const { error, value } = await first;
    if (before === undefined) delete process.env.grpc_proxy;
    else process.env.grpc_proxy = before;
    proxied.close();
    expect(error).toBeNull();
    expect(value!.toString()).toBe('by proxy');
  });
});
