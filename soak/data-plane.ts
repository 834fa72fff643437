import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { residentBytes } from '../bench/support/mesh.ts';
import { Opcode, openWebSocket } from './websocket.ts';

/** What a data plane holds. */
export interface Holdings {
  sockets: number;
  /** Heap and buffers outside it, after a collection. */
  heapBytes: number;
  residentBytes: number;
}

const INSPECTOR_DEADLINE_MS = 5_000;
/** Idle connections are closed after some seconds; what still changes after this long is what there is. */
const QUIET_DEADLINE_MS = 90_000;
const QUIET_MS = 6_000;

/** Open sockets of a process, the inspector's own not counted. */
function sockets(pid: number): number {
  let count = 0;
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      if (readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:')) count++;
    } catch {
      // It was closed meanwhile.
    }
  }
  return count;
}

/** Waits until no sockets have come or gone for some seconds, and takes stock. */
export async function takeStock(pid: number, log: string): Promise<Holdings> {
  const deadline = performance.now() + QUIET_DEADLINE_MS;
  let count = sockets(pid);
  let sinceMs = performance.now();
  while (performance.now() - sinceMs < QUIET_MS && performance.now() < deadline) {
    await sleep(250);
    const now = sockets(pid);
    if (now === count) continue;
    count = now;
    sinceMs = performance.now();
  }
  return { sockets: count, heapBytes: await heapAfterCollection(pid, log), residentBytes: await residentBytes(pid) };
}

/** By the inspector, which SIGUSR1 opens; the process says on its stderr where. */
async function heapAfterCollection(pid: number, log: string): Promise<number> {
  process.kill(pid, 'SIGUSR1');
  const deadline = performance.now() + INSPECTOR_DEADLINE_MS;
  let address: RegExpExecArray | null = null;
  while (address === null) {
    if (performance.now() > deadline) throw new Error(`process ${pid} opens no inspector`);
    await sleep(20);
    const all = [...readFileSync(log, 'utf8').matchAll(/Debugger listening on ws:\/\/127\.0\.0\.1:(\d+)(\/\S+)/g)];
    address = all.at(-1) ?? null;
  }
  const { socket, send, onMessage } = await openWebSocket(Number(address[1]), address[2], `127.0.0.1:${address[1]}`);
  let id = 0;
  const waiting = new Map<number, (result: unknown) => void>();
  onMessage((_opcode, payload) => {
    const { id: of, result } = JSON.parse(payload.toString());
    waiting.get(of)?.(result);
  });
  const ask = (method: string, params = {}) =>
    new Promise<unknown>((resolve) => {
      waiting.set(++id, resolve);
      send(Opcode.Text, Buffer.from(JSON.stringify({ id, method, params })));
    });
  await ask('HeapProfiler.enable');
  for (let i = 0; i < 3; i++) await ask('HeapProfiler.collectGarbage');
  const expression = '(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())';
  const answer = (await ask('Runtime.evaluate', { expression })) as { result: { value: number } };
  await ask('HeapProfiler.disable');
  await ask('Runtime.evaluate', { expression: 'setImmediate(() => process.mainModule?.require("inspector").close())' });
  socket.destroy();
  return answer.result.value;
}
