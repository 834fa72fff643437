import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** Whose files they are to be, where that is not the user the process runs as. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The person at the keyboard: under sudo the one who called it, not root. */
export interface InvokingUser {
  readonly name: string | undefined;
  readonly home: string;
  /** Set only under sudo. */
  readonly owner: Owner | undefined;
}

/** What the answer depends on; injected by tests. */
export interface UserEnvironment {
  readonly env: NodeJS.ProcessEnv;
  readonly platform: NodeJS.Platform;
  /** Effective user id; undefined on Windows. */
  readonly uid: number | undefined;
  /** Home directory of the user the process runs as. */
  readonly home: string;
  /** Home directory of another user by the system's user database, or undefined. */
  readonly homeOf: (name: string, uid: number) => string | undefined;
}

export function currentEnvironment(): UserEnvironment {
  return {
    env: process.env,
    platform: process.platform,
    uid: process.geteuid?.(),
    home: homedir(),
    homeOf: (name, uid) => homeFromDatabase(name, uid, process.platform),
  };
}

/** Whom the process works for. With `sudo mesh trust` that is the caller, so that nothing ends up in root's home. */
export function invokingUser(at: UserEnvironment): InvokingUser {
  const { SUDO_USER, SUDO_UID, SUDO_GID } = at.env;
  const uid = Number(SUDO_UID);
  const gid = Number(SUDO_GID);
  const bySudo =
    at.uid === 0 &&
    SUDO_USER !== undefined &&
    SUDO_USER !== '' &&
    /^\d+$/.test(SUDO_UID ?? '') &&
    /^\d+$/.test(SUDO_GID ?? '');
  if (!bySudo || uid === 0) return { name: at.env.USER ?? at.env.USERNAME, home: at.home, owner: undefined };
  const fallback = at.platform === 'darwin' ? `/Users/${SUDO_USER}` : `/home/${SUDO_USER}`;
  return { name: SUDO_USER, home: at.homeOf(SUDO_USER, uid) ?? fallback, owner: { uid, gid } };
}

/**
 * Directory of the user's data: `$XDG_DATA_HOME/mesh`, else `~/.local/share/mesh`, on macOS too. A relative
 * XDG_DATA_HOME is ignored (XDG Base Directory Specification), and so is root's own under sudo.
 */
export function dataDirectory(at: UserEnvironment): string {
  const user = invokingUser(at);
  const xdg = at.env.XDG_DATA_HOME;
  const rootsOwn = user.owner !== undefined && xdg !== undefined && (xdg === '/root' || xdg.startsWith('/root/'));
  if (xdg !== undefined && isAbsolute(xdg) && !rootsOwn) return join(xdg, 'mesh');
  return join(user.home, '.local', 'share', 'mesh');
}

function homeFromDatabase(name: string, uid: number, platform: NodeJS.Platform): string | undefined {
  if (platform === 'darwin') {
    const answer = output('dscl', ['.', '-read', `/Users/${name}`, 'NFSHomeDirectory']);
    return /^NFSHomeDirectory:\s*(\/.*)$/m.exec(answer)?.[1];
  }
  // getent also knows users of LDAP and the like; a musl system may be without it, hence the file.
  return homeOfLine(output('getent', ['passwd', String(uid)]), uid) ?? homeOfLine(fileText('/etc/passwd'), uid);
}

function homeOfLine(passwd: string, uid: number): string | undefined {
  for (const line of passwd.split('\n')) {
    const fields = line.split(':');
    if (fields.length >= 7 && fields[2] === String(uid) && fields[5]!.startsWith('/')) return fields[5];
  }
  return undefined;
}

function output(command: string, args: string[]): string {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 5_000 });
  } catch {
    return '';
  }
}

function fileText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
