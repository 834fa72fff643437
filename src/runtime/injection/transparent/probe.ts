import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { PROBE_PROGRAM, type ProbeFindings, type ProbeTask } from './probe-program.ts';

const TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 1_000;

/** Where a probe runs. */
export type ProbePlace =
  /** In a control group: it enters before it becomes the probe. */
  { group: string } | { uid: number };

/** Null: the probe could not be run. */
export function runProbe(task: ProbeTask, place: ProbePlace): Promise<ProbeFindings | null> {
  const program = [process.execPath, '-e', PROBE_PROGRAM, JSON.stringify(task)];
  const [command, ...args] =
    'group' in place
      ? ['/bin/sh', '-c', 'echo $$ > "$0" && exec "$@"', path.join(place.group, 'cgroup.procs'), ...program]
      : program;
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: '/',
      // Nothing of the daemon's: NODE_OPTIONS, say, would run with it.
      env: { PATH: process.env.PATH ?? '' },
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
      ...('uid' in place ? { uid: place.uid } : {}),
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      // What it may still wait for, a resolver that does not answer, is not worth waiting for.
      if (output.endsWith('\n')) child.kill('SIGKILL');
    });
    child.on('error', () => resolve(null));
    child.on('close', () => {
      try {
        resolve(JSON.parse(output) as ProbeFindings);
      } catch {
        resolve(null);
      }
    });
  });
}

/** What a connection of this process's own comes to: `connected`, or the system's error code. */
export function tryConnection(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port, timeout: CONNECT_TIMEOUT_MS });
    const settle = (outcome: string): void => {
      socket.destroy();
      resolve(outcome);
    };
    socket.on('connect', () => settle('connected'));
    socket.on('timeout', () => settle('ETIMEDOUT'));
    socket.on('error', (error: NodeJS.ErrnoException) => settle(error.code ?? 'error'));
  });
}

/** A row of /proc/net/tcp: ports, state, and the inode that file descriptors name. */
export interface TcpSocket {
  localPort: number;
  remotePort: number;
  listening: boolean;
  established: boolean;
  inode: string;
}

export function tcpSockets(): TcpSocket[] {
  return ['/proc/self/net/tcp', '/proc/self/net/tcp6'].flatMap((file) => {
    try {
      return parseTcpSockets(readFileSync(file, 'latin1'));
    } catch {
      return [];
    }
  });
}

export function parseTcpSockets(text: string): TcpSocket[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const fields = line.trim().split(/\s+/);
      if (fields.length < 10) return [];
      const portOf = (address: string): number => Number.parseInt(address.split(':')[1], 16);
      return [
        {
          localPort: portOf(fields[1]),
          remotePort: portOf(fields[2]),
          listening: fields[3] === '0A',
          established: fields[3] === '01',
          inode: fields[9],
        },
      ];
    });
}
