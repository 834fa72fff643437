import * as fs from 'node:fs';
import path from 'node:path';

/** Whom a server runs as. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** By preference: PostgreSQL's own, which packages create, then the one that owns nothing. */
const ACCOUNTS = ['postgres', '_postgres', 'nobody'];

/**
 * PostgreSQL refuses to run as root. Null: we are not root, so it runs as we do. Undefined: we are, and there is nobody
 * else (an image without `/etc/passwd`).
 */
export function serverAccount(
  uid = process.geteuid?.(),
  passwd: () => string = () => fs.readFileSync('/etc/passwd', 'utf8'),
): Account | null | undefined {
  if (uid !== 0) return null;
  let lines: string[];
  try {
    lines = passwd().split('\n');
  } catch {
    return undefined;
  }
  for (const wanted of ACCOUNTS) {
    const [name, , id, group] = lines.find((line) => line.startsWith(`${wanted}:`))?.split(':') ?? [];
    // `nobody` of macOS is -2.
    if (Number(id) > 0 && Number(group) > 0) return { name, uid: Number(id), gid: Number(group) };
  }
  return undefined;
}

/** The first folder on the way to `target`, itself included, that users other than its owner cannot pass; null: none. */
export function closedFolder(target: string): string | null {
  const real = nearestReal(target);
  for (let at = real; ; at = path.dirname(at)) {
    if ((fs.statSync(at).mode & 0o001) === 0) return at;
    if (at === path.dirname(at)) return null;
  }
}

function nearestReal(target: string): string {
  for (let at = path.resolve(target); ; at = path.dirname(at)) {
    try {
      return fs.realpathSync(at);
    } catch (error) {
      if (at === path.dirname(at)) throw error;
    }
  }
}
