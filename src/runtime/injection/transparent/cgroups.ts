import * as fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** Where nft looks for paths of the unified hierarchy. */
const NFT_ROOT = '/sys/fs/cgroup';
const REMOVE_ATTEMPTS = 40;
const REMOVE_PAUSE_MS = 25;

/** A mounted control group hierarchy that packets can be matched by. */
export interface Hierarchy {
  kind: 'cgroup2' | 'net_cls';
  /** Directory of its root. */
  mount: string;
}

/** The hierarchies of a mountinfo (proc_pid_mountinfo(5)) that show their root, the unified one first. */
export function parseHierarchies(mountinfo: string): Hierarchy[] {
  const found: Hierarchy[] = [];
  for (const line of mountinfo.split('\n')) {
    const [left, right] = line.split(' - ');
    const [, , , root, mount] = left.split(' ');
    if (right === undefined || root !== '/') continue;
    const [type, , options = ''] = right.split(' ');
    if (type === 'cgroup2') found.push({ kind: 'cgroup2', mount: fromOctal(mount) });
    else if (type === 'cgroup' && options.split(',').includes('net_cls'))
      found.push({ kind: 'net_cls', mount: fromOctal(mount) });
  }
  // nft resolves paths below /sys/fs/cgroup: a mount there needs no way up.
  const rank = ({ kind, mount }: Hierarchy): number =>
    kind === 'net_cls' ? 2 : mount === NFT_ROOT || mount.startsWith(`${NFT_ROOT}/`) ? 0 : 1;
  return found.sort((a, b) => rank(a) - rank(b));
}

/** Blanks and backslashes are written in octal. */
const fromOctal = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** Path of a process in a hierarchy, from the text of its /proc/PID/cgroup; null where it is not below our root. */
export function parseMembership(text: string, kind: Hierarchy['kind']): string | null {
  for (const line of text.split('\n')) {
    const match = /^(\d+):([^:]*):(\/.*)$/.exec(line);
    if (match === null) continue;
    const [, id, controllers, group] = match;
    const wanted = kind === 'cgroup2' ? id === '0' && controllers === '' : controllers.split(',').includes('net_cls');
    if (!wanted) continue;
    // Out of our cgroup namespace, or of a group that was removed.
    return group.startsWith('/..') || group.endsWith(' (deleted)') ? null : group;
  }
  return null;
}

export function mountedHierarchies(): Hierarchy[] {
  try {
    return parseHierarchies(fs.readFileSync('/proc/self/mountinfo', 'utf8'));
  } catch {
    return [];
  }
}

/** Directory of the group that a process is in; null when that cannot be told. */
export function groupOf(pid: number, hierarchy: Hierarchy): string | null {
  try {
    const group = parseMembership(fs.readFileSync(`/proc/${pid}/cgroup`, 'utf8'), hierarchy.kind);
    if (group === null) return null;
    const directory = path.resolve(hierarchy.mount, `.${group}`);
    return fs.existsSync(directory) ? directory : null;
  } catch {
    return null;
  }
}

/** How nft finds a group of the unified hierarchy: its path from nft's root, and its depth in the hierarchy. */
export function nftPathOf(directory: string, hierarchy: Hierarchy): { path: string; level: number } {
  return {
    path: path.relative(NFT_ROOT, directory),
    level: path.relative(hierarchy.mount, directory).split(path.sep).length,
  };
}

/** Throws the system's error: no right to, or a group that cannot have members. */
export function makeGroup(directory: string, classId: number | null): void {
  try {
    fs.mkdirSync(directory, { mode: 0o755 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  if (classId !== null) fs.writeFileSync(path.join(directory, 'net_cls.classid'), `${classId}`);
}

/** A process with all its threads. False: it is gone. Throws the system's error. */
export function moveInto(directory: string, pid: number): boolean {
  try {
    fs.writeFileSync(path.join(directory, 'cgroup.procs'), `${pid}`);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

export function membersOf(directory: string): number[] {
  try {
    const text = fs.readFileSync(path.join(directory, 'cgroup.procs'), 'latin1');
    // 0 is a process of another pid namespace.
    return text
      .split('\n')
      .map(Number)
      .filter((pid) => pid > 0);
  } catch {
    return [];
  }
}

/**
 * Empties a group of ours and removes it. `homeOf` names the group that a member goes to. False: it is still there, as
 * when a member has made a group below it.
 */
export async function dissolveGroup(directory: string, homeOf: (pid: number) => string): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    for (const pid of membersOf(directory)) {
      try {
        moveInto(nearestExisting(homeOf(pid)), pid);
      } catch {
        // Tried again below: it may be on its way out, or we have no right to, and then the group stays.
      }
    }
    try {
      fs.rmdirSync(directory);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
      if (attempt >= REMOVE_ATTEMPTS) return false;
    }
    // A member that forked meanwhile, or one that is dying.
    await delay(REMOVE_PAUSE_MS);
  }
}

/** A session's group may have gone with the session. */
function nearestExisting(directory: string): string {
  let at = directory;
  while (!fs.existsSync(path.join(at, 'cgroup.procs')) && path.dirname(at) !== at) at = path.dirname(at);
  return at;
}
