import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { OutBuffer } from './out-buffer.ts';
import { returnReads, takeReads } from './socket-reads.ts';
import { type Flushable, flushAtTurnEnd, reportBug } from './turn.ts';

/** A peer has so long to close its side after we have closed ours. */
const PEER_CLOSE_MS = 2_000;

/** Bytes waiting for a socket beyond which its writers are told to hold back. */
export const HIGH_WATER_BYTES = 256 * 1024;

/**
 * A socket with a codec on top: gathers what a turn of the event loop has to write, writes it at once, and tells its
 * writers when to hold back. Plain and TLS sockets alike.
 */
export abstract class SocketConnection implements Flushable {
  readonly out: OutBuffer;
  closed = false;
  /** The socket holds more than it should; `onSocketWritable` follows. */
  protected blocked = false;
  private queued = false;
  private wantsDrain = false;
  private endAfterFlush = false;
  private readonly peerAddress: string;

  constructor(readonly socket: Socket) {
    this.out = new OutBuffer(() => this.queue());
    // Read now: a socket that has closed knows its peer no more.
    this.peerAddress = socket.remoteAddress ?? '';
    socket.setNoDelay(true);
    takeReads(socket, (chunk) => this.onBytes(chunk));
    socket.on('end', () => this.onSocketEnd());
    socket.on('error', (error: Error) => this.onError(error));
    socket.on('close', () => this.closeOnce());
    socket.on('drain', () => {
      this.blocked = false;
      this.drained();
    });
  }

  get remoteAddress(): string {
    return this.peerAddress;
  }

  /** Bytes have arrived; the chunk is ours to keep. */
  protected abstract onSocketBytes(chunk: Buffer): void;
  /** The peer will send no more. */
  protected abstract onSocketEnd(): void;
  /** There is room again after `hasRoom()` said no. */
  protected abstract onSocketWritable(): void;
  /** The socket is gone; called once. */
  protected abstract onSocketClose(reason: string): void;

  protected errorMessage = '';

  /** Whether writers may go on; if not, `onSocketWritable` will be called. */
  protected hasRoom(): boolean {
    if (!this.blocked && this.out.size < HIGH_WATER_BYTES) return true;
    this.wantsDrain = true;
    return false;
  }

  /** Half-closes once everything has been written. */
  protected endSocket(): void {
    this.endAfterFlush = true;
    this.queue();
  }

  /**
   * Ends the conversation: everything written goes out, however slowly it is read, and a peer that does not close its
   * side soon after is not waited for.
   */
  protected hangUp(): void {
    this.endSocket();
    this.socket.once('finish', () => setTimeout(() => this.destroy(), PEER_CLOSE_MS).unref());
  }

  protected destroy(): void {
    if (this.closed) return;
    this.socket.destroy();
    this.closeOnce();
  }

  /** Closes at once, by RST where the transport can: the peer sees that this was no ordinary end. */
  protected reset(): void {
    if (this.closed) return;
    // TLS cannot: there it is the missing close_notify that tells.
    if (this.socket instanceof TLSSocket || this.socket.connecting) this.socket.destroy();
    else this.socket.resetAndDestroy();
    this.closeOnce();
  }

  /** Lets go of the socket, which someone else goes on with. What was written before goes out first. */
  protected detach(): Socket {
    this.flush();
    this.closed = true;
    for (const event of ['data', 'end', 'error', 'close', 'drain']) this.socket.removeAllListeners(event);
    returnReads(this.socket);
    return this.socket;
  }

  flush(): void {
    this.queued = false;
    if (this.closed) return;
    const socket = this.socket;
    if (!this.out.writeTo(socket)) this.blocked = true;
    if (this.endAfterFlush) {
      this.endAfterFlush = false;
      socket.end();
    }
    this.drained();
  }

  private queue(): void {
    if (this.queued || this.closed) return;
    this.queued = true;
    flushAtTurnEnd(this);
  }

  private drained(): void {
    if (this.blocked || !this.wantsDrain || this.closed) return;
    this.wantsDrain = false;
    this.onSocketWritable();
  }

  private onBytes(chunk: Buffer): void {
    try {
      this.onSocketBytes(chunk);
    } catch (error) {
      // A bug. What this connection carries is in no known state: it ends here, and takes nothing else along.
      this.errorMessage ||= 'internal error';
      this.destroy();
      reportBug(error);
    }
  }

  private onError(error: Error): void {
    this.errorMessage ||= error.message;
    this.socket.destroy();
    this.closeOnce();
  }

  private closeOnce(): void {
    if (this.closed) return;
    this.closed = true;
    this.onSocketClose(this.errorMessage || 'connection closed');
  }
}
