import http2 from 'node:http2';
import type { Random } from '../../fuzz/random.ts';
import type { Ending, Load, LoadClient } from '../load.ts';

let ids = 0;
const STREAMS = 6;

/** Several streams at a time on one connection; some are reset in the middle. */
function client(authority: string, random: Random): LoadClient {
  let session: http2.ClientHttp2Session | null = null;
  const connected = (): http2.ClientHttp2Session => {
    if (session !== null && !session.closed && !session.destroyed) return session;
    session = http2.connect(authority, { rejectUnauthorized: false });
    session.on('error', () => {});
    // The last streams of a connection that is being drained still end.
    session.on('goaway', () => {
      session = null;
    });
    return session;
  };
  return {
    async once() {
      const on = connected();
      const endings = await Promise.allSettled(Array.from({ length: STREAMS }, () => stream(on, random)));
      for (const ending of endings) if (ending.status === 'rejected') throw ending.reason;
      return endings.some((e) => e.status === 'fulfilled' && e.value === 'aborted') ? 'aborted' : 'done';
    },
    close: () => session?.destroy(),
  };
}

function stream(session: http2.ClientHttp2Session, random: Random): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const id = `h2-${++ids}`;
    const body = random.bytes(random.below(random.chance(20) ? 100_000 : 500));
    const request = session.request({ ':method': 'POST', ':path': '/echo', ':authority': 'web', 'x-id': id });
    const got: Buffer[] = [];
    let wrong: string | null = null;
    const abort = random.chance(3);
    request.on('response', (headers) => {
      if (headers[':status'] !== 200) wrong = `status ${headers[':status']} ${headers['x-mesh-response-flags'] ?? ''}`;
      else if (headers['x-id'] !== id) wrong = 'the answer to another request';
    });
    request.on('data', (chunk: Buffer) => got.push(chunk));
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (!abort) reject(new Error(`stream: ${error.code ?? error.message}`));
    });
    request.on('close', () => {
      if (abort) return resolve('aborted');
      if (wrong !== null) reject(new Error(wrong));
      else if (!Buffer.concat(got).equals(body)) reject(new Error(`wrong content (reset code ${request.rstCode})`));
      else resolve('done');
    });
    request.end(body);
    if (abort) setTimeout(() => request.close(http2.constants.NGHTTP2_CANCEL), random.below(5));
  });
}

export const HTTP2_LOADS: readonly Load[] = [
  {
    name: 'h2 over TLS',
    service: 'web',
    clients: 2,
    long: false,
    connect: (ports, random) => client(`https://localhost:${ports.gatewayTls}`, random),
  },
  {
    name: 'h2c',
    service: 'web',
    clients: 2,
    long: false,
    connect: (ports, random) => client(`http://127.0.0.1:${ports.web}`, random),
  },
];
