import net from 'node:net';
import { getSystemErrorName } from 'node:util';

/**
 * A TCP socket on 127.0.0.1 that is bound and not yet listened on. The daemon holds it for as long as the port is in
 * use and lends it to data planes: once one has listened on it, connections that arrive while no data plane is alive
 * wait in the kernel's queue.
 */
export interface BoundSocket {
  readonly port: number;
  /** What `net.Server.listen` and `ChildProcess.send` take. */
  readonly handle: unknown;
  close(): void;
}

/** libuv's TCP handle. Node makes one without listening only here; its own cluster module is built on it. */
interface TcpHandle {
  getsockname(into: { port?: number }): number;
  close(): void;
}
type CreateHandle = (address: string, port: number, family: 4) => TcpHandle | number;
const createHandle = (net as unknown as { _createServerHandle: CreateHandle })._createServerHandle;

/** Binds a port, 0 for any. The error is the system's name for it, e.g. `EADDRINUSE`. */
export function bindSocket(port: number): { ok: true; socket: BoundSocket } | { ok: false; error: string } {
  const handle = createHandle('127.0.0.1', port, 4);
  if (typeof handle === 'number') return { ok: false, error: getSystemErrorName(handle) };
  const address: { port?: number } = {};
  // libuv reports a port that is taken only now: it keeps the error of bind() for later.
  const status = handle.getsockname(address);
  if (status !== 0 || address.port === undefined) {
    handle.close();
    return { ok: false, error: getSystemErrorName(status || -98) };
  }
  return { ok: true, socket: { port: address.port, handle, close: () => handle.close() } };
}
