/**
 * Opens connections that do nothing: `node idle-connections.mjs PORT COUNT`. Each sends one request first, so that it
 * is all set up. Prints `{"open":N,"failed":N}`, holds them until SIGTERM, and prints the same again.
 */
import net from 'node:net';

const [port, count] = process.argv.slice(2).map(Number);
/** Connection attempts at the same time; more would overflow the kernel's queue. */
const AT_ONCE = 100;
const REQUEST = 'GET / HTTP/1.1\r\nhost: bench\r\n\r\n';
let left = count;
let open = 0;
let failed = 0;

function connect(): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(REQUEST));
    let answered = false;
    socket.on('data', (chunk: Buffer) => {
      if (answered) return;
      answered = true;
      if (chunk.latin1Slice(0, 12) === 'HTTP/1.1 200') open++;
      else failed++;
      resolve();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      if (answered) open--;
      failed++;
      resolve();
    });
  });
}

async function work(): Promise<void> {
  while (left-- > 0) await connect();
}

await Promise.all(Array.from({ length: AT_ONCE }, work));
const report = (then: () => void) => process.stdout.write(`${JSON.stringify({ open, failed })}\n`, then);
process.on('SIGTERM', () => report(() => process.exit()));
report(() => {});
