/**
 * An open-loop client: `node constant-rate.mjs '{"port":8080,"rate":1000,...}'` sends so many requests a second whatever
 * the answers do, and prints a report as JSON. Latency counts from the moment a request was due, not from when a
 * connection was free to send it: a server that stalls is charged for everything that had to wait (what is called
 * coordinated omission is measuring without that).
 */
import net from 'node:net';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { bodyOf } from './body.ts';

export interface ConstantRateOptions {
  port: number;
  /** Requests a second, over all connections. */
  rate: number;
  connections: number;
  seconds: number;
  /** Not reported, at the start. */
  warmUpSeconds: number;
  path: string;
  /** Length of the body that must come back. */
  bodyBytes: number;
}

export interface ConstantRateReport {
  requests: number;
  /** Milliseconds from due to the last byte of the response. */
  p50: number;
  p99: number;
  max: number;
  /** How late requests that found a free connection left this process, median: what its own timer adds to the figures. */
  lateness: number;
  errors: Record<string, number>;
}

interface Ticks {
  startedAt: bigint;
  intervalNs: number;
  count: number;
}

const nowNs = (): bigint => process.hrtime.bigint();
const dueAt = ({ startedAt, intervalNs }: Ticks, tick: number): bigint =>
  startedAt + BigInt(Math.round(tick * intervalNs));

/** Wakes the other thread at each tick: the event loop's own timers only know whole milliseconds. */
function keepTime(ticks: Ticks): void {
  const never = new Int32Array(new SharedArrayBuffer(4));
  for (let tick = 0; tick < ticks.count; tick++) {
    const ms = Number(dueAt(ticks, tick) - nowNs()) / 1e6;
    if (ms > 0) Atomics.wait(never, 0, 0, ms);
    parentPort!.postMessage(0);
  }
}

async function drive(options: ConstantRateOptions): Promise<ConstantRateReport> {
  const { port, rate, seconds, warmUpSeconds, connections } = options;
  const count = Math.round(rate * (seconds + warmUpSeconds));
  const skipped = Math.round(rate * warmUpSeconds);
  const request = `GET ${options.path} HTTP/1.1\r\nhost: bench\r\n\r\n`;
  const expected = bodyOf(options.bodyBytes);
  const latencies: number[] = [];
  const lateness: number[] = [];
  const errors: Record<string, number> = {};
  let done = 0;
  let finish: () => void = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const fail = (reason: string) => {
    errors[reason] = (errors[reason] ?? 0) + 1;
  };

  /** Ticks that found no free connection, in order. */
  const waiting: number[] = [];
  const free: Connection[] = [];
  interface Connection {
    socket: net.Socket;
    tick: number;
    received: Buffer[];
    bytes: number;
  }
  const ticks: Ticks = { startedAt: 0n, intervalNs: 1e9 / rate, count };

  const send = (connection: Connection, tick: number) => {
    connection.tick = tick;
    connection.received = [];
    connection.bytes = 0;
    connection.socket.write(request);
  };
  const settle = (connection: Connection, reason: string | null) => {
    const tick = connection.tick;
    connection.tick = -1;
    if (reason !== null) fail(reason);
    if (tick >= skipped) latencies.push(Number(nowNs() - dueAt(ticks, tick)) / 1e6);
    if (++done === count) finish();
    const next = waiting.shift();
    if (reason !== null && connection.socket.destroyed) return;
    if (next === undefined) free.push(connection);
    else send(connection, next);
  };
  const connect = async (): Promise<void> => {
    const socket = net.connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const connection: Connection = { socket, tick: -1, received: [], bytes: 0 };
    socket.on('data', (chunk: Buffer) => {
      connection.received.push(chunk);
      connection.bytes += chunk.length;
      if (connection.bytes < expected.length) return;
      const text = connection.received.length === 1 ? chunk : Buffer.concat(connection.received);
      const head = text.indexOf('\r\n\r\n');
      if (head < 0 || text.length < head + 4 + expected.length) return;
      const body = text.subarray(head + 4);
      if (text.latin1Slice(0, 12) !== 'HTTP/1.1 200') settle(connection, `status ${text.latin1Slice(9, 12)}`);
      else settle(connection, body.equals(expected) ? null : 'wrong body');
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      const at = free.indexOf(connection);
      if (at >= 0) free.splice(at, 1);
      if (done === count) return;
      if (connection.tick >= 0) settle(connection, 'closed before the response');
      void connect().catch(() => fail('cannot connect'));
    });
    const next = waiting.shift();
    if (next === undefined) free.push(connection);
    else send(connection, next);
  };
  for (let i = 0; i < connections; i++) await connect();

  ticks.startedAt = nowNs() + 50_000_000n;
  let next = 0;
  const clock = new Worker(new URL(import.meta.url), { workerData: ticks });
  clock.on('message', () => {
    const now = nowNs();
    while (next < count && dueAt(ticks, next) <= now) {
      const tick = next++;
      const connection = free.shift();
      if (connection === undefined) waiting.push(tick);
      else {
        if (tick >= skipped) lateness.push(Number(nowNs() - dueAt(ticks, tick)) / 1e6);
        send(connection, tick);
      }
    }
  });
  const deadline = setTimeout(finish, (seconds + warmUpSeconds + 10) * 1_000);
  await finished;
  clearTimeout(deadline);
  if (done < count) errors['no answer'] = count - done;
  for (const { socket } of free) socket.destroy();
  const at = (values: number[], q: number) => {
    values.sort((a, b) => a - b);
    return values[Math.min(values.length - 1, Math.floor(values.length * q))] ?? Number.NaN;
  };
  return {
    requests: done,
    p50: at(latencies, 0.5),
    p99: at(latencies, 0.99),
    max: at(latencies, 1),
    lateness: at(lateness, 0.5),
    errors,
  };
}

if (isMainThread) {
  const report = await drive(JSON.parse(process.argv[2]) as ConstantRateOptions);
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit());
} else {
  keepTime(workerData as Ticks);
}
