import type { Socket } from 'node:net';
import { SocketConnection } from './connection.ts';
import type { DownstreamConnection, Exchange } from './exchange.ts';
import type { ListenerContext } from './listener-context.ts';
import type { ResponseHead } from './message.ts';

const READ_AHEAD_BYTES = 256 * 1024;
const EMPTY = Buffer.alloc(0);

/** A raw TCP connection: an exchange whose request is CONNECT and whose bodies are the bytes of both directions. */
export class TcpDownstream extends SocketConnection implements DownstreamConnection {
  private x: Exchange | null = null;
  private unconsumed = 0;

  constructor(
    socket: Socket,
    private readonly listener: ListenerContext,
  ) {
    super(socket);
    listener.connections.add(this);
  }

  /** The exchange that carries this connection. */
  begin(x: Exchange): void {
    this.x = x;
  }

  /** Bytes that were read before this connection was made. */
  receive(chunk: Buffer): void {
    this.onSocketBytes(chunk);
  }

  /** A tunnel has no good moment to end: it is left alone until the listener's drain deadline. */
  drain(): void {}

  kill(): void {
    this.destroy();
  }

  sendInformational(): void {}

  sendHead(x: Exchange, _head: ResponseHead, last: boolean): void {
    if (this.x !== x) return;
    if (x.tunnel) {
      if (last) this.endSocket();
      return;
    }
    // Raw TCP has no words for an error: a reset says that this was no ordinary end.
    this.x = null;
    this.reset();
  }

  sendData(x: Exchange, buf: Buffer, start: number, end: number, last: boolean): boolean {
    if (this.x !== x || !x.tunnel) return true;
    this.out.bytes(buf, start, end);
    if (last) this.endSocket();
    return this.hasRoom();
  }

  sendTrailers(x: Exchange): void {
    if (this.x === x) this.endSocket();
  }

  consume(_x: Exchange, bytes: number): void {
    this.unconsumed -= bytes;
    if (this.unconsumed <= READ_AHEAD_BYTES && this.socket.isPaused()) this.socket.resume();
  }

  abort(x: Exchange): void {
    if (this.x !== x) return;
    this.x = null;
    this.reset();
  }

  release(x: Exchange): void {
    if (this.x === x) this.x = null;
  }

  protected onSocketBytes(chunk: Buffer): void {
    const x = this.x;
    if (x === null) return;
    this.unconsumed += chunk.length;
    x.onRequestData(chunk, 0, chunk.length, false);
    if (this.unconsumed > READ_AHEAD_BYTES && !this.closed) this.socket.pause();
  }

  protected onSocketEnd(): void {
    this.x?.onRequestData(EMPTY, 0, 0, true);
  }

  protected onSocketWritable(): void {
    this.x?.onDownstreamDrain();
  }

  protected onSocketClose(): void {
    this.listener.connections.delete(this);
    const x = this.x;
    this.x = null;
    x?.onDownstreamGone();
  }
}
