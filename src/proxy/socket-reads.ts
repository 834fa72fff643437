import { Socket } from 'node:net';

/** As much as libuv asks the system for at once. */
const READ_BYTES = 64 * 1024;
/** A connection whose reads are as long as this moves a body: it gets buffers of its own, which are passed on uncopied. */
const BULK_BYTES = 32 * 1024;

/**
 * What every read of every socket goes into; what has come is copied out before the next one. Without it Node allocates
 * 64 KiB for each read, however short, and the garbage collector runs for that alone: measured, a third of the CPU time
 * of an HTTP/1.1 request.
 */
const shared = Buffer.allocUnsafeSlow(READ_BYTES);

/**
 * Node can read a socket into a buffer of the user's (`onread` of `net.connect`), but offers it for sockets that we
 * open, not for those that we accept. Where its names for that have changed, reading goes on by events.
 */
const [BUFFER, TAKE, NEXT] = ['kBuffer', 'kBufferCb', 'kBufferGen'].map((name) =>
  Object.getOwnPropertySymbols(new Socket()).find(({ description }) => description === name),
);

/** On a socket, for all its owners: the buffer for its next read, where that is another one. An owner may change within a read. */
const READS = Symbol('reads');

interface Internals {
  [READS]?: { next: Buffer | undefined };
  _handle?: { useUserBuffer?: (buffer: Uint8Array) => void } | null;
  [symbol: symbol]: unknown;
}

/**
 * Has `take` called with everything that a socket, plain or TLS, receives from now on; each chunk is the callee's to
 * keep. `pause`, `resume` and the event `end` work as ever. May be called again, for the next owner of the socket.
 */
export function takeReads(socket: Socket, take: (chunk: Buffer) => void): void {
  const internals = socket as unknown as Internals;
  const handle = internals._handle;
  const readInto = handle?.useUserBuffer;
  if (BUFFER === undefined || TAKE === undefined || NEXT === undefined || readInto === undefined) {
    socket.on('data', take);
    return;
  }
  internals[READS] ??= { next: undefined };
  const reads = internals[READS];
  let own = false;
  internals[TAKE] = (bytes: number, buffer: Buffer): boolean => {
    reads.next = undefined;
    if (bytes < BULK_BYTES) {
      // Back to the shared one: what is idle or slow holds no memory.
      if (own) reads.next = shared;
      own = false;
      take(copy(buffer, bytes));
    } else if (own) {
      reads.next = Buffer.allocUnsafeSlow(READ_BYTES);
      take(buffer.subarray(0, bytes));
    } else {
      own = true;
      reads.next = Buffer.allocUnsafeSlow(READ_BYTES);
      take(copy(buffer, bytes));
    }
    return true;
  };
  // Asked for after every read.
  internals[NEXT] = () => reads.next;
  if (internals[BUFFER] === null) {
    internals[BUFFER] = shared;
    readInto.call(handle, shared);
  }
  socket.resume();
}

/** Gives a socket back to its events: whoever listens for `data` gets what comes. */
export function returnReads(socket: Socket): void {
  const internals = socket as unknown as Internals;
  const reads = internals[READS];
  if (TAKE === undefined || reads === undefined) return;
  internals[TAKE] = (bytes: number, buffer: Buffer): boolean => {
    reads.next = undefined;
    socket.emit('data', copy(buffer, bytes));
    return true;
  };
}

function copy(buffer: Buffer, bytes: number): Buffer {
  const chunk = Buffer.allocUnsafe(bytes);
  chunk.set(bytes === buffer.length ? buffer : buffer.subarray(0, bytes));
  return chunk;
}
