import type { Socket } from 'node:net';
import { SocketConnection } from './connection.ts';
import type { Connector } from './connector.ts';
import type { Exchange, UpstreamConnection } from './exchange.ts';
import type { UpstreamPool } from './upstream.ts';

const READ_AHEAD_BYTES = 256 * 1024;
const EMPTY = Buffer.alloc(0);

/** One TCP connection for each tunnel. */
export class TcpPool implements UpstreamPool {
  private readonly connecting = new Map<Exchange, Socket>();
  private readonly open = new Set<TcpUpstream>();

  constructor(private readonly connector: Connector) {}

  acquire(x: Exchange): void {
    const pending = this.connector.connect((failure, socket) => {
      if (this.connecting.get(x) !== pending) {
        socket.destroy();
        return;
      }
      this.connecting.delete(x);
      if (failure !== null) {
        x.onUpstreamReset('connect-failure', `${this.connector.address}: ${failure}`);
        return;
      }
      const upstream = new TcpUpstream(socket, x, this.connector.address, () => this.open.delete(upstream));
      this.open.add(upstream);
      x.tunnel = true;
      x.onUpstreamOpen(upstream);
      // A client that closed its side before it said anything: there is no head here that could carry that.
      if (x.headEndsRequest) upstream.sendData(x, EMPTY, 0, 0, true);
      x.onResponse({ status: 200, headers: [], contentLength: -1 }, false);
    });
    this.connecting.set(x, pending);
  }

  cancel(x: Exchange): void {
    const pending = this.connecting.get(x);
    if (pending === undefined) return;
    this.connecting.delete(x);
    pending.destroy();
  }

  drain(): void {}

  destroy(): void {
    for (const [x, socket] of [...this.connecting]) {
      this.connecting.delete(x);
      socket.destroy();
      x.onUpstreamReset('connect-failure', `${this.connector.address}: closed`);
    }
    for (const upstream of [...this.open]) upstream.kill();
  }
}

class TcpUpstream extends SocketConnection implements UpstreamConnection {
  private unconsumed = 0;
  private x: Exchange | null;

  constructor(
    socket: Socket,
    x: Exchange,
    private readonly address: string,
    private readonly onGone: () => void,
  ) {
    super(socket);
    this.x = x;
  }

  override get remoteAddress(): string {
    return this.address;
  }

  kill(): void {
    this.destroy();
  }

  sendData(x: Exchange, buf: Buffer, start: number, end: number, last: boolean): boolean {
    if (this.x !== x) return true;
    this.out.bytes(buf, start, end);
    if (last) this.endSocket();
    return this.hasRoom();
  }

  sendTrailers(): void {
    this.endSocket();
  }

  consume(_x: Exchange, bytes: number): void {
    this.unconsumed -= bytes;
    if (this.unconsumed <= READ_AHEAD_BYTES && this.socket.isPaused()) this.socket.resume();
  }

  release(x: Exchange): void {
    if (this.x !== x) return;
    this.x = null;
    if (x.requestEnded && x.responseEnded) {
      // What was sent last may still be on its way out: from now on nobody may cut it off.
      this.onGone();
      this.endSocket();
    } else this.reset();
  }

  protected onSocketBytes(chunk: Buffer): void {
    const x = this.x;
    if (x === null) return;
    this.unconsumed += chunk.length;
    x.onResponseData(chunk, 0, chunk.length, false);
    if (this.unconsumed > READ_AHEAD_BYTES && !this.closed) this.socket.pause();
  }

  protected onSocketEnd(): void {
    this.x?.onResponseData(EMPTY, 0, 0, true);
  }

  protected onSocketWritable(): void {
    this.x?.onUpstreamDrain();
  }

  protected onSocketClose(reason: string): void {
    this.onGone();
    const x = this.x;
    this.x = null;
    x?.onUpstreamReset('reset', `${this.address}: ${reason}`);
  }
}
