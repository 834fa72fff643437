import { createHash } from 'node:crypto';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';

/** Bytes that fit into sockaddr_un on every system (macOS has 104 with the final zero), less what publishing adds. */
const LONGEST_PATH_BYTES = 92;

/**
 * Where the control socket of a mesh is: `control.sock` in its state directory or, where that path is too long for
 * a unix socket, a name derived from it in the user's runtime directory.
 */
export function controlSocketPath(stateDir: string): string {
  const preferred = path.join(stateDir, 'control.sock');
  if (Buffer.byteLength(preferred) <= LONGEST_PATH_BYTES) return preferred;
  const runtimeDir = process.env.XDG_RUNTIME_DIR ?? path.join(tmpdir(), `localmesh-${userInfo().uid}`);
  const digest = createHash('sha256').update(preferred).digest('hex').slice(0, 16);
  return path.join(runtimeDir, `mesh-${digest}.sock`);
}
