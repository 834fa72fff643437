import net from 'node:net';
import tls from 'node:tls';
import { problem } from '../../model/errors.ts';
import type { ResolvedResource } from '../../model/resolved.ts';
import { parseResourceUrl, shownUrl } from '../../model/resource-url.ts';
import type { Problem } from '../../model/result.ts';
import { databaseProblem, withClient } from './postgres-client.ts';

type UrlResource = Extract<ResolvedResource, { kind: 'url' }>;

interface Greeting {
  /** What is said first; empty: the server speaks first. */
  readonly send: Buffer;
  /** Whether the beginning of the answer is the protocol's; null: more is needed. */
  readonly judge: (answer: Buffer) => boolean | null;
}

const startsWith =
  (...words: string[]) =>
  (answer: Buffer) => {
    const text = answer.toString('latin1');
    if (words.some((word) => text.startsWith(word))) return true;
    return words.some((word) => word.startsWith(text)) ? null : false;
  };

/** No login is sent: a server that asks for one has answered. */
const GREETINGS: Readonly<Record<Exclude<UrlResource['of'], 'postgres'>, Greeting>> = {
  redis: { send: Buffer.from('PING\r\n'), judge: startsWith('+PONG', '-NOAUTH', '-ERR', '-LOADING') },
  nats: { send: Buffer.alloc(0), judge: startsWith('INFO ') },
  // AMQP 0-9-1, section 4.2.2: the protocol header; the server starts with a method frame on channel 0.
  rabbitmq: { send: Buffer.from('AMQP\0\0\x09\x01', 'latin1'), judge: startsWith('\x01\0\0') },
  // ApiVersions (key 18), version 0, correlation 1, no client id; every broker answers it before any login.
  kafka: {
    send: Buffer.from([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff]),
    judge: (answer) => (answer.length < 8 ? null : answer.readUInt32BE(4) === 1),
  },
};

/** Null: the server answers in its protocol. Otherwise MESH-D108, or MESH-D109 for a login that a database refuses. */
export async function pingServer(name: string, { of, url }: UrlResource, timeoutMs: number): Promise<Problem | null> {
  if (of === 'postgres') {
    try {
      await withClient(url, timeoutMs, (client) => client.query('SELECT 1'));
      return null;
    } catch (error) {
      const found = databaseProblem(name, error);
      if (found.code === 'MESH-D109') return found;
      return unreachable(name, url, (error as Error).message || (error as { code?: string }).code || 'no answer');
    }
  }
  const reason = await greet(of, url, timeoutMs);
  return reason === null ? null : unreachable(name, url, reason);
}

const unreachable = (name: string, url: string, reason: string): Problem =>
  problem('MESH-D108', {
    message: `${name} does not answer at ${shownUrl(url)}: ${reason}`,
    hint: 'start it, or correct `url`; services stay up meanwhile',
  });

function greet(of: keyof typeof GREETINGS, url: string, timeoutMs: number): Promise<string | null> {
  const address = parseResourceUrl(of, url);
  if ('wrong' in address) return Promise.resolve(address.wrong);
  const { host, port } = address;
  const { send, judge } = GREETINGS[of];
  return new Promise((resolve) => {
    const secure = /^(rediss|amqps|tls):/.test(url) && of !== 'nats';
    // Nothing secret is said, so whose certificate it is does not matter here.
    const socket = secure
      ? tls.connect({ host, port, servername: net.isIP(host) ? '' : host, rejectUnauthorized: false })
      : net.connect({ host, port });
    let answer = Buffer.alloc(0);
    const finish = (reason: string | null): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(reason);
    };
    const timer = setTimeout(() => finish(`no answer within ${timeoutMs} ms`), timeoutMs);
    socket.once(secure ? 'secureConnect' : 'connect', () => socket.write(send));
    socket.on('data', (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      const verdict = judge(answer);
      if (verdict !== null) finish(verdict ? null : `what answers does not speak ${of}`);
    });
    socket.on('error', (error: NodeJS.ErrnoException) =>
      finish(error.code === 'ECONNREFUSED' ? 'connection refused' : error.message || (error.code ?? 'no reason given')),
    );
    socket.on('end', () => finish('it closed the connection'));
  });
}
