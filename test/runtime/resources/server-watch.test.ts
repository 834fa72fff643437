import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { ResolvedConfig, ResolvedResource } from '../../../src/model/resolved.ts';
import type { Problem } from '../../../src/model/result.ts';
import { pingServer } from '../../../src/runtime/resources/server-ping.ts';
import { ServerWatch } from '../../../src/runtime/resources/server-watch.ts';
import { eventually, freePort } from '../../support/e2e.ts';
import { FakeClock } from '../../support/fake-clock.ts';

type UrlResource = Extract<ResolvedResource, { kind: 'url' }>;

const servers: net.Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function serve(talk: (socket: net.Socket) => void): Promise<number> {
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    talk(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as net.AddressInfo).port;
}

describe('asking a server whether it is there', () => {
  const ping = (of: UrlResource['of'], port: number, timeoutMs = 2_000) => {
    const scheme = of === 'rabbitmq' ? 'amqp' : of;
    return pingServer('it', { kind: 'url', of, url: `${scheme}://user:hush@127.0.0.1:${port}/x` }, timeoutMs);
  };

  it.each([
    ['redis', Buffer.from('PING\r\n'), Buffer.from('+PONG\r\n')],
    ['redis', Buffer.from('PING\r\n'), Buffer.from('-NOAUTH Authentication required.\r\n')],
    ['rabbitmq', Buffer.from('AMQP\0\0\x09\x01', 'latin1'), Buffer.from([1, 0, 0, 0, 0, 1, 0xf6])],
    [
      'kafka',
      Buffer.from([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 255, 255]),
      Buffer.from([0, 0, 0, 10, 0, 0, 0, 1, 0, 0]),
    ],
  ] as const)('%s', async (of, question, answer) => {
    let asked = Buffer.alloc(0);
    const port = await serve((socket) =>
      socket.on('data', (chunk) => {
        asked = Buffer.concat([asked, chunk]);
        // In pieces, as a network may.
        if (asked.length < question.length) return;
        socket.write(answer.subarray(0, 1));
        setImmediate(() => socket.write(answer.subarray(1)));
      }),
    );
    expect(await ping(of, port)).toBeNull();
    expect(asked).toEqual(question);
  });

  it('nats, which speaks first', async () => {
    expect(await ping('nats', await serve((socket) => socket.write('INFO {"server_id":"N"}\r\n')))).toBeNull();
  });

  it('says what is in the way, and no password', async () => {
    const nobody = await freePort();
    const refused = await ping('redis', nobody);
    expect(refused).toMatchObject({ code: 'MESH-D108', message: expect.stringContaining('connection refused') });
    expect(refused?.message).not.toContain('hush');
    const web = await serve((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    expect((await ping('redis', web))?.message).toContain('does not speak redis');
    const silent = await serve(() => {});
    expect((await ping('nats', silent, 50))?.message).toContain('no answer within 50 ms');
    const closing = await serve((socket) => socket.resume().end());
    expect((await ping('nats', closing))?.message).toContain('closed the connection');
    expect((await ping('postgres', nobody))?.code).toBe('MESH-D108');
  });
});

describe('watching servers', () => {
  const config = (resources: Record<string, string>): ResolvedConfig =>
    ({
      services: Object.fromEntries(
        Object.entries(resources).map(([name, url]) => [name, { name, resource: { kind: 'url', of: 'redis', url } }]),
      ),
    }) as unknown as ResolvedConfig;

  it('tells of changes alone, and forgets servers that leave', async () => {
    const clock = new FakeClock();
    const down: Problem = { code: 'MESH-D108', message: 'away' };
    const state: Record<string, Problem | null> = { a: down, b: null };
    const told: string[] = [];
    let asked = 0;
    const watch = new ServerWatch({
      clock,
      ping: async (name) => {
        asked++;
        return state[name];
      },
      onChange: (name, found) => told.push(`${name} ${found?.message ?? 'answers'}`),
    });
    watch.configure(config({ a: 'redis://a', b: 'redis://b' }));
    await eventually(() => asked === 2);
    expect(told).toEqual(['a away']);
    expect([watch.problem('a'), watch.problem('b')]).toEqual([down, null]);
    clock.advance(5_000);
    await eventually(() => asked === 4);
    state.a = null;
    clock.advance(5_000);
    await eventually(() => told.length === 2);
    expect(told[1]).toBe('a answers');
    watch.configure(config({ b: 'redis://b' }));
    const before = asked;
    clock.advance(5_000);
    await eventually(() => asked === before + 1);
    watch.close();
    clock.advance(60_000);
    expect(asked).toBe(before + 1);
  });
});
