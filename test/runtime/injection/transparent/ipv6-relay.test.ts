import net from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { Ipv6Relay } from '../../../../src/runtime/injection/transparent/ipv6-relay.ts';
import { skipped } from '../../../support/tools.ts';

const hasIpv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
);

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A server on 127.0.0.1, and a relay to it. */
async function relayTo(onConnection: (socket: net.Socket) => void): Promise<Ipv6Relay> {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const relay = await Ipv6Relay.start((server.address() as net.AddressInfo).port);
  if (relay === null) throw new Error('no relay');
  closers.push(() => {
    relay.close();
    server.close();
  });
  return relay;
}

describe.skipIf(!hasIpv6 && skipped('no IPv6'))('relay from ::1 to 127.0.0.1', () => {
  it('passes bytes both ways, and one side’s end without the other’s', async () => {
    const relay = await relayTo((socket) => {
      const received: Buffer[] = [];
      socket.on('data', (chunk) => received.push(chunk));
      // Answers only after the client has said its last word.
      socket.on('end', () => socket.end(Buffer.concat(received)));
    });
    const sent = Buffer.alloc(1 << 20, 'relay');
    const received: Buffer[] = [];
    await new Promise<void>((resolve, reject) => {
      const client = net.connect({ host: '::1', port: relay.port, allowHalfOpen: true }, () => client.end(sent));
      client.on('data', (chunk) => received.push(chunk));
      client.on('end', resolve);
      client.on('error', reject);
    });
    expect(Buffer.concat(received).equals(sent)).toBe(true);
  });

  it('passes a reset on', async () => {
    const relay = await relayTo((socket) => socket.once('data', () => socket.resetAndDestroy()));
    const code = await new Promise<string | undefined>((resolve) => {
      const client = net.connect({ host: '::1', port: relay.port }, () => client.write('x'));
      client.on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
      client.on('close', () => resolve(undefined));
    });
    expect(code).toBe('ECONNRESET');
  });

  it('ends the connections of a target that is not there, and those that are open when it closes', async () => {
    const open = await relayTo(() => {});
    const client = net.connect({ host: '::1', port: open.port });
    await new Promise((resolve) => client.once('connect', resolve));
    const closed = new Promise((resolve) => client.on('error', () => {}).once('close', resolve));
    open.close();
    await closed;

    // Port 1 of 127.0.0.1 has nobody.
    const nowhere = await Ipv6Relay.start(1);
    if (nowhere === null) throw new Error('no relay');
    closers.push(() => nowhere.close());
    const code = await new Promise<string | undefined>((resolve) => {
      const refused = net.connect({ host: '::1', port: nowhere.port });
      refused.on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
      refused.on('close', () => resolve(undefined));
    });
    expect(code).toBe('ECONNRESET');
  });
});
