import net, { type Socket } from 'node:net';
import { H2Connection } from '../../src/proxy/http2/connection.ts';
import type { H2Events } from '../../src/proxy/http2/events.ts';
import type { H2Options } from '../../src/proxy/http2/options.ts';
import type { H2Stream } from '../../src/proxy/http2/stream.ts';
import { OutBuffer } from '../../src/proxy/out-buffer.ts';

/** Events that do nothing; tests replace those that they look at. */
export function silentEvents(): H2Events {
  return {
    onRequest() {},
    onInformational() {},
    onResponse() {},
    onData() {},
    onTrailers() {},
    onReset() {},
    onDrain() {},
    onGoaway() {},
    onSettings() {},
    onStreamSlots() {},
    onConnectionError() {},
    onDrained() {},
  };
}

/** A connection on a socket: flushes once a turn, keeps the socket's backpressure, closes after an error. */
export class SocketBinding {
  readonly out: OutBuffer;
  readonly connection: H2Connection;

  constructor(
    side: 'client' | 'server',
    readonly socket: Socket,
    events: (binding: SocketBinding) => H2Events,
    options: Partial<H2Options>,
  ) {
    this.out = new OutBuffer(() => setImmediate(() => this.flush()));
    const handlers = events(this);
    this.connection = new H2Connection(
      side,
      this.out,
      {
        ...handlers,
        onConnectionError: (code, message) => {
          handlers.onConnectionError(code, message);
          this.flush();
          socket.end();
        },
      },
      options,
    );
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => this.connection.receive(chunk));
    socket.on('drain', () => this.connection.setWritable(true));
    socket.on('close', () => this.connection.destroyed());
  }

  flush(): void {
    const chunks = this.out.take();
    if (chunks.length === 0 || !this.socket.writable) return;
    this.socket.cork();
    let more = true;
    for (const chunk of chunks) more = this.socket.write(chunk);
    this.socket.uncork();
    if (!more) this.connection.setWritable(false);
  }
}

/** Answers every request with 200 and what it was sent, or a fixed body where it was sent nothing. */
export function echo(binding: SocketBinding): H2Events {
  const hello = Buffer.from('hello, world\n');
  return {
    ...silentEvents(),
    onRequest(stream: H2Stream, head, endStream) {
      const { connection } = binding;
      connection.respond(stream, 200, ['content-type', 'text/plain', 'x-path', head.path], false);
      if (endStream) connection.data(stream, hello, 0, hello.length, true);
    },
    onData(stream, buf, start, end, endStream) {
      const { connection } = binding;
      connection.consume(stream, end - start);
      connection.data(stream, buf, start, end, endStream);
    },
    onTrailers(stream, trailers) {
      binding.connection.trailers(stream, trailers);
    },
  };
}

export interface TestH2Server {
  readonly port: number;
  readonly bindings: readonly SocketBinding[];
  close(): Promise<void>;
}

/** Listens for plain HTTP/2 (prior knowledge) on a free loopback port. */
export async function startH2Server(
  events: (binding: SocketBinding) => H2Events = echo,
  options: Partial<H2Options> = {},
): Promise<TestH2Server> {
  const bindings: SocketBinding[] = [];
  const server = net.createServer((socket) => {
    bindings.push(new SocketBinding('server', socket, events, options));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    bindings,
    close: () =>
      new Promise((resolve) => {
        for (const { socket } of bindings) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

/** Connects a client connection to a loopback port. */
export async function connectH2(
  port: number,
  events: (binding: SocketBinding) => H2Events,
  options: Partial<H2Options> = {},
): Promise<SocketBinding> {
  const socket = net.connect(port, '127.0.0.1');
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return new SocketBinding('client', socket, events, options);
}
