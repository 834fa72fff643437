import { readFileSync, readlinkSync } from 'node:fs';
import { problem } from '../../../model/errors.ts';
import { fail, ok, type Problem, type Result } from '../../../model/result.ts';
import { findNft } from './nft.ts';

/** linux/capability.h. */
const CAP_NET_ADMIN = 12n;

const WITHOUT =
  'without --transparent everything else works: the inbound side is covered, and the outbound one of a process that is ' +
  'started by `mesh inject --as SERVICE -- COMMAND`';

/** Whether a process's effective capabilities (proc_pid_status(5)) let it change packet rules. */
export function mayChangeRules(status: string): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/im.exec(status)?.[1];
  return effective !== undefined && ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}

/** Path of nft. Problems, all that is missing: MESH-J301 not Linux, MESH-J302 no right, MESH-J303 no nft. */
export function checkRights(platform: NodeJS.Platform = process.platform): Result<string> {
  if (platform !== 'linux') {
    return fail(
      problem('MESH-J301', { message: `transparent interception needs Linux, this is ${platform}`, hint: WITHOUT }),
    );
  }
  const problems: Problem[] = [];
  if (!mayChangeRules(readText('/proc/self/status'))) {
    problems.push(
      problem('MESH-J302', {
        message: `the daemon (pid ${process.pid}, uid ${process.getuid?.()}) has no CAP_NET_ADMIN, so it may not load packet rules`,
        hint: `take the mesh down and start it with \`sudo mesh up\`; ${WITHOUT}`,
      }),
    );
  }
  const nft = findNft();
  if (nft === null) {
    problems.push(
      problem('MESH-J303', {
        message: '`nft` is neither on the PATH nor in /usr/sbin',
        hint: `install it: sudo apt install nftables (dnf, pacman: nftables); ${WITHOUT}`,
      }),
    );
  }
  return problems.length > 0 || nft === null ? fail(...problems) : ok(nft);
}

/** Null: the process is gone, or not ours to look at. */
export function sharesNetwork(pid: number): boolean | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync('/proc/self/ns/net');
  } catch {
    return null;
  }
}

/** Effective user of a process; null when it is gone. */
export function userOf(pid: number): number | null {
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(readText(`/proc/${pid}/status`))?.[1];
  return uid === undefined ? null : Number(uid);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
