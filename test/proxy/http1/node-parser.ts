import http from 'node:http';
import net, { type AddressInfo } from 'node:net';

/** How a parser read the bytes of one connection. */
export interface Reading {
  /** Complete messages: method or status, body. */
  messages: string[];
  /** `complete`, `truncated`, or the code of the error. */
  verdict: string;
}

const DEADLINE_MS = 10_000;

function within<T>(work: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end of ${what}`)), DEADLINE_MS);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

const listen = (server: net.Server): Promise<number> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)));

const shut = (server: net.Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()));

/** Node's server, asked how it reads what a client sends. One server, one connection for each question. */
export async function nodeServerReader(): Promise<{ read(bytes: Buffer): Promise<Reading>; close(): Promise<void> }> {
  interface Connection {
    slots: { text: string | null }[];
    verdict: string;
  }
  const connections = new Map<number, Connection>();
  const slotOf = (socket: net.Socket): { text: string | null } => {
    const slot = { text: null };
    connections.get(socket.remotePort ?? 0)?.slots.push(slot);
    return slot;
  };
  const server = http.createServer({ maxHeaderSize: 64 * 1024 });
  server.on('request', (request, reply) => {
    // In the order of the heads: the end of a body is told later than the head of a CONNECT behind it.
    const slot = slotOf(request.socket);
    const body: Buffer[] = [];
    request.on('data', (chunk: Buffer) => body.push(chunk));
    request.on('end', () => {
      slot.text = `${request.method} ${Buffer.concat(body).toString('latin1')}`;
      reply.end();
    });
    request.on('error', () => {});
  });
  server.on('connect', (request: http.IncomingMessage, socket: net.Socket) => {
    slotOf(request.socket).text = 'CONNECT ';
    socket.end('HTTP/1.1 200 OK\r\n\r\n');
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const connection = connections.get((socket as net.Socket).remotePort ?? 0);
    if (connection?.verdict === 'complete') {
      connection.verdict = error.code === 'HPE_INVALID_EOF_STATE' ? 'truncated' : (error.code ?? 'unknown');
    }
    socket.destroy();
  });
  const port = await listen(server);
  return {
    read: (bytes) =>
      within(
        new Promise<Reading>((resolve) => {
          const connection: Connection = { slots: [], verdict: 'complete' };
          const socket = net.connect(port, '127.0.0.1', () => {
            const key = socket.localPort!;
            connections.set(key, connection);
            let replies = '';
            socket.on('data', (chunk) => {
              replies += chunk.toString('latin1');
            });
            socket.on('error', () => {});
            socket.on('close', () => {
              connections.delete(key);
              // What Node refuses above its parser (no Host, another expectation) is only seen in its answer.
              const refused = /HTTP\/1\.1 (4\d\d)/.exec(replies);
              if (refused !== null && connection.verdict === 'complete') connection.verdict = `answer ${refused[1]}`;
              const messages = connection.slots.map((slot) => slot.text).filter((text) => text !== null);
              resolve({ messages, verdict: connection.verdict });
            });
            socket.end(bytes);
          });
        }),
        JSON.stringify(bytes.toString('latin1')),
      ),
    close: async () => {
      server.closeAllConnections();
      await shut(server);
    },
  };
}

/** Node's client, asked how it reads what a server sends in answer to a request of that method. */
export async function nodeClientReader(): Promise<{
  read(bytes: Buffer, method: string): Promise<Reading>;
  close(): Promise<void>;
}> {
  const answers = new Map<string, Buffer>();
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    let head = '';
    socket.on('data', (chunk) => {
      head += chunk.toString('latin1');
      if (head.includes('\r\n\r\n')) socket.end(answers.get(head.split(' ')[1]) ?? Buffer.alloc(0));
    });
  });
  const port = await listen(server);
  let count = 0;
  return {
    read: (bytes, method) => {
      const path = `/${count++}`;
      answers.set(path, bytes);
      return within(
        new Promise<Reading>((resolve) => {
          const reading: Reading = { messages: [], verdict: 'truncated' };
          const done = (verdict: string): void => {
            answers.delete(path);
            reading.verdict = verdict;
            request.destroy();
            resolve(reading);
          };
          const request = http.request({ port, host: '127.0.0.1', method, path, agent: false }, (reply) => {
            const body: Buffer[] = [];
            reply.on('data', (chunk: Buffer) => body.push(chunk));
            reply.on('error', () => {});
            reply.on('close', () => {
              if (!reply.complete) return;
              reading.messages.push(`${reply.statusCode} ${Buffer.concat(body).toString('latin1')}`);
              done('complete');
            });
          });
          request.on('error', (error: NodeJS.ErrnoException) => {
            if (reading.messages.length > 0) return;
            done(error.code?.startsWith('HPE_') && error.code !== 'HPE_INVALID_EOF_STATE' ? error.code : 'truncated');
          });
          request.on('close', () => {
            if (reading.messages.length === 0 && reading.verdict === 'truncated') done('truncated');
          });
          request.end();
        }),
        JSON.stringify(bytes.toString('latin1')),
      );
    },
    close: () => shut(server),
  };
}
