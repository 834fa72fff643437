/**
 * A steady HTTP/1.1 load in a process of its own: so many keep-alive connections, each sending its next request when the
 * last was answered, every status and body checked. `node load-process.js PORT CONNECTIONS PATH EXPECTED`; ends on SIGTERM
 * with one JSON line: requests, failed, reasons, latencies in milliseconds.
 */
import net from 'node:net';

const [port, connections, path, expected] = [
  Number(process.argv[2]),
  Number(process.argv[3]),
  process.argv[4],
  process.argv[5],
];
const request = `GET ${path} HTTP/1.1\r\nhost: bench\r\n\r\n`;
let requests = 0;
let failed = 0;
let stopping = false;
const reasons: Record<string, number> = {};
const latencies: number[] = [];
const open = new Set<net.Socket>();

const fail = (reason: string) => {
  failed++;
  reasons[reason] = (reasons[reason] ?? 0) + 1;
};

function connect(): void {
  if (stopping) return;
  const socket = net.connect(port, '127.0.0.1');
  open.add(socket);
  socket.setNoDelay(true);
  let text = '';
  let sentAt = 0;
  let waiting = false;
  const send = () => {
    if (stopping) {
      socket.end();
      return;
    }
    text = '';
    waiting = true;
    sentAt = performance.now();
    socket.write(request);
  };
  socket.on('connect', send);
  socket.on('data', (chunk: Buffer) => {
    text += chunk.latin1Slice();
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) return;
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? Number.NaN);
    if (text.length < end + 4 + length) return;
    waiting = false;
    requests++;
    if (latencies.length < 2_000_000) latencies.push(performance.now() - sentAt);
    if (!text.startsWith('HTTP/1.1 200 '))
      fail(text.slice(9, 12) + (/x-mesh-response-flags: (\w+)/.exec(text)?.[1] ?? ''));
    else if (!text.slice(end + 4).startsWith(expected)) fail('wrong body');
    send();
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (!waiting && !socket.connecting && sentAt > 0) return;
    waiting = false;
    requests++;
    fail(error.code ?? error.message);
  });
  socket.on('close', () => {
    open.delete(socket);
    if (waiting && !stopping) {
      requests++;
      fail('closed before the response');
    }
    if (stopping) {
      if (open.size === 0) report();
    } else setTimeout(connect, 1);
  });
}

function report(): void {
  latencies.sort((a, b) => a - b);
  const at = (q: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * q))] ?? 0;
  process.stdout.write(
    `${JSON.stringify({ requests, failed, reasons, p50: at(0.5), p99: at(0.99), max: at(1) })}\n`,
    () => process.exit(0),
  );
}

process.on('SIGTERM', () => {
  stopping = true;
  setTimeout(report, 1_000);
  if (open.size === 0) report();
});
for (let i = 0; i < connections; i++) connect();
