/** What is to be looked at from inside a workload. */
export interface ProbeTask {
  /** Names that must resolve to these addresses, by the resolver that programs use. */
  names: readonly { name: string; address: string }[];
  /** Connections that must arrive at these local ports. */
  connections: readonly { host: string; port: number; listener: number }[];
}

export interface ProbeFindings {
  /** As in the task; an address, or the error code of the resolver. */
  names: readonly { name: string; found: string }[];
  /** `arrived`: at the listener; `elsewhere`: connected, but to somebody else; otherwise the system's error code. */
  connections: readonly { host: string; port: number; listener: number; outcome: string }[];
}

/**
 * Program (CommonJS, for `node -e`) of a process that is put into a workload to see what becomes of its connections. It
 * reads a ProbeTask from its first argument and writes ProbeFindings, one line, after which it is to be killed. Where a connection arrived is read off the kernel's table of
 * sockets: the accepted one has the listener's port and our port as its peer. Nothing is sent, so no application notices.
 */
export const PROBE_PROGRAM = `
const { readFileSync } = require('node:fs');
const { lookup } = require('node:dns').promises;
const { connect } = require('node:net');
const task = JSON.parse(process.argv[1]);
const LIMIT_MS = 2000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const limited = (promise) => Promise.race([promise, pause(LIMIT_MS).then(() => 'ETIMEDOUT')]);

function accepted(listener, peer) {
  for (const file of ['/proc/self/net/tcp', '/proc/self/net/tcp6']) {
    let text = '';
    try { text = readFileSync(file, 'latin1'); } catch {}
    for (const line of text.split('\\n').slice(1)) {
      const fields = line.trim().split(/\\s+/);
      if (fields.length < 4) continue;
      const portOf = (address) => parseInt(address.split(':')[1], 16);
      if (portOf(fields[1]) === listener && portOf(fields[2]) === peer) return true;
    }
  }
  return false;
}

function tryConnection(host, port, listener) {
  return limited(new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.on('error', (error) => resolve(error.code || 'error'));
    socket.on('connect', async () => {
      // The last packet of the handshake is on its way.
      const local = socket.localPort;
      for (let left = 20; left > 0; left--) {
        if (accepted(listener, local)) break;
        await pause(5);
      }
      resolve(accepted(listener, local) ? 'arrived' : 'elsewhere');
      socket.destroy();
    });
  }));
}

(async () => {
  const names = Promise.all(task.names.map(async ({ name }) => {
    const answer = lookup(name, { family: 4 }).then(({ address }) => address, (error) => error.code || 'error');
    return { name, found: await limited(answer) };
  }));
  const connections = Promise.all(task.connections.map(async (wanted) => (
    { ...wanted, outcome: await tryConnection(wanted.host, wanted.port, wanted.listener) }
  )));
  process.stdout.write(JSON.stringify({ names: await names, connections: await connections }) + '\\n');
})();
`;
