import net from 'node:net';
import { TRIVIAL_SERVICE } from './startup.ts';
import { createMesh, quantile, sleep, startLoad } from './support/mesh.ts';
import { type Bench, ms } from './support/report.ts';

const SAVES = 200;
const LEAST_REQUESTS = 100_000;

export const reload: Bench = async () => {
  const config = (gateway: number, version: number) => `import { defineMesh } from 'localmesh';
export default defineMesh({ version: 1, name: 'bench', gateway: { http: ${gateway}, routes: [{ backends: [{ service: 'app' }] }] },
  services: { app: { command: ['node', 'service.js'], routes: [{ filters: { responseHeaders: { set: { 'x-version': '${version}' } } } }] } } });`;
  const mesh = await createMesh((gateway) => config(gateway, 0), { 'service.js': TRIVIAL_SERVICE });
  const took: number[] = [];
  try {
    await mesh.mesh('up', '-d');
    const load = startLoad(mesh.gateway, 16, '/', 'ok');
    const probe = await versionProbe(mesh.gateway);
    await sleep(1_000);
    const began = performance.now();
    for (let version = 1; version <= SAVES; version++) {
      await mesh.save(config(mesh.gateway, version));
      const savedAt = performance.now();
      await probe.until(String(version));
      took.push(performance.now() - savedAt);
      // Saves at every phase of whatever the daemon does in the background.
      await sleep(20 + ((version * 37) % 60));
    }
    // The load goes on until it is large enough to mean something.
    while (performance.now() - began < 60_000 && probe.requests() + took.length < LEAST_REQUESTS * 2) {
      if (performance.now() - began > 25_000) break;
      await sleep(100);
    }
    probe.close();
    const report = await load.stop();
    return {
      title: 'Save to live',
      note: `${SAVES} saves of \`mesh.config.ts\`, each timed from the end of the write to the first response that shows it, while 16 connections send as fast as they can.`,
      figures: [
        { what: 'median', value: ms(quantile(took, 0.5)), goal: 'under 60 ms', met: quantile(took, 0.5) < 60 },
        { what: 'p99', value: ms(quantile(took, 0.99)), goal: 'under 150 ms', met: quantile(took, 0.99) < 150 },
        {
          what: 'failed requests',
          value: `${report.failed} of ${report.requests}${report.failed > 0 ? ` ${JSON.stringify(report.reasons)}` : ''}`,
          goal: `0 of at least ${LEAST_REQUESTS}`,
          met: report.failed === 0 && report.requests >= LEAST_REQUESTS,
        },
      ],
    };
  } finally {
    await mesh.close();
  }
};

/** Asks over one connection, again and again, until the answer shows a version. */
async function versionProbe(
  port: number,
): Promise<{ until(version: string): Promise<void>; requests(): number; close(): void }> {
  const socket = net.connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  await new Promise((resolve) => socket.once('connect', resolve));
  let requests = 0;
  const ask = () =>
    new Promise<string>((resolve, reject) => {
      requests++;
      let text = '';
      const onData = (chunk: Buffer) => {
        text += chunk.toString('latin1');
        if (!text.endsWith('ok')) return;
        socket.off('data', onData);
        socket.off('close', onClose);
        resolve(/x-version: (\d+)/.exec(text)?.[1] ?? '');
      };
      socket.on('data', onData);
      const onClose = () => reject(new Error('the probe lost its connection'));
      socket.once('close', onClose);
      socket.write('GET / HTTP/1.1\r\nhost: probe\r\n\r\n');
    });
  return {
    async until(version) {
      const deadline = performance.now() + 5_000;
      while ((await ask()) !== version)
        if (performance.now() > deadline) throw new Error(`version ${version} did not come into force within 5 s`);
    },
    requests: () => requests,
    close: () => socket.destroy(),
  };
}
