import { readFileSync, statSync } from 'node:fs';
import net from 'node:net';

const FILE = '/etc/resolv.conf';
/** glibc's MAXNS. */
const MAX_SERVERS = 3;
/** What resolvers take where none is given. */
const DEFAULT = ['127.0.0.1'];

/** Addresses of the name servers of a resolv.conf(5), in order. */
export function parseResolvConf(text: string): string[] {
  const servers: string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, address] = line.trim().split(/\s+/);
    if (keyword !== 'nameserver' || address === undefined) continue;
    if (net.isIP(address.replace(/%.*$/, '')) !== 0) servers.push(address);
  }
  return servers.length === 0 ? DEFAULT : servers.slice(0, MAX_SERVERS);
}

/** The system's name servers, read again when the file changes: a VPN comes and goes. */
export function systemResolvers(file = FILE): () => readonly string[] {
  let known: { mark: string; servers: string[] } | null = null;
  return () => {
    try {
      const { mtimeMs, ino, size } = statSync(file);
      const mark = `${ino}:${mtimeMs}:${size}`;
      if (known?.mark !== mark) known = { mark, servers: parseResolvConf(readFileSync(file, 'utf8')) };
      return known.servers;
    } catch {
      return known?.servers ?? DEFAULT;
    }
  };
}
