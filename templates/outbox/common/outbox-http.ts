import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Running } from '../../shared/process.ts';

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export interface Question {
  readonly method: string;
  readonly path: string;
  readonly headers: NodeJS.Dict<string | string[]>;
  /** JSON; undefined: there is none, or it is not JSON. */
  readonly body: unknown;
}

export interface JsonServer extends Running {
  readonly url: string;
}

const LARGEST_BODY_BYTES = 64 << 10;

/** JSON over HTTP. What `answer` throws becomes a 500. */
export async function serveJson(
  { port, host }: { readonly port: number; readonly host: string },
  answer: (question: Question) => Promise<Answer>,
  failed: (error: unknown) => void,
): Promise<JsonServer> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= LARGEST_BODY_BYTES) chunks.push(chunk);
    });
    request.on('end', async () => {
      const { method = 'GET', headers, url = '/' } = request;
      const tooLong = { status: 413, body: { title: 'The body is too long.', status: 413 } };
      const question = { method, path: url.split('?')[0], headers, body: parsed(Buffer.concat(chunks).toString()) };
      const { status, body } =
        bytes > LARGEST_BODY_BYTES
          ? tooLong
          : await answer(question).catch((error) => {
              failed(error);
              return { status: 500, body: { title: 'Something went wrong here.', status: 500 } };
            });
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(`${JSON.stringify(body)}\n`);
    });
  });
  server.listen(port, host);
  await once(server, 'listening');
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    async stop() {
      const ended = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      const cutOff = setTimeout(() => server.closeAllConnections(), 3_000);
      await ended;
      clearTimeout(cutOff);
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
