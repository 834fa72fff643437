import { TRIVIAL_SERVICE } from './startup.ts';
import { type BenchMesh, createMesh, type LoadReport, sleep, startLoad } from './support/mesh.ts';
import { type Bench, type Figure, ms } from './support/report.ts';

const CONNECTIONS = 16;

/** What clients see of rotation, restarts and crashes while they send as fast as they can. */
export const faults: Bench = async () => {
  const mesh = await createMesh(
    (gateway) => `import { defineMesh } from 'localmesh';
export default defineMesh({ version: 1, name: 'bench', gateway: { http: ${gateway}, routes: [{ backends: [{ service: 'app' }] }] }, services: { app: { command: ['node', 'service.js'] } } });`,
    { 'service.js': TRIVIAL_SERVICE },
  );
  const figures: Figure[] = [];
  const during = async (what: string, allowed: number, goal: string, action: (mesh: BenchMesh) => Promise<unknown>) => {
    const load = startLoad(mesh.gateway, CONNECTIONS, '/', 'ok');
    await sleep(1_500);
    await action(mesh);
    await sleep(1_500);
    const report: LoadReport = await load.stop();
    const reasons = report.failed > 0 ? ` ${JSON.stringify(report.reasons)}` : '';
    figures.push({
      what,
      value: `${report.failed} of ${report.requests} failed, slowest ${ms(report.max)}${reasons}`,
      goal,
      met: report.failed <= allowed,
    });
  };
  try {
    await mesh.mesh('up', '-d');
    await during('`mesh certs rotate`, 10 times', 0, '0 failed', async () => {
      for (let i = 0; i < 10; i++) await mesh.mesh('certs', 'rotate');
    });
    await during('`mesh restart app`, 3 times', 0, '0 failed', async () => {
      for (let i = 0; i < 3; i++) await mesh.mesh('restart', 'app');
    });
    await during('`kill -9` of the service', CONNECTIONS, 'only those in flight in it', async () => {
      const { services } = await mesh.status();
      process.kill(services[0].instances[0].pid, 'SIGKILL');
      await sleep(1_000);
    });
    await during('`kill -9` of the data plane', CONNECTIONS, 'only those in flight in it', async () => {
      const { dataPlanePids } = await mesh.status();
      process.kill(dataPlanePids[0], 'SIGKILL');
      await sleep(1_000);
    });
    await during('`kill -9` of the daemon', 0, '0 failed', async () => {
      const { pid } = await mesh.status();
      process.kill(pid, 'SIGKILL');
      await sleep(1_000);
    });
  } finally {
    await mesh.close();
  }
  return {
    title: 'Faults under load',
    note: `${CONNECTIONS} connections through the gateway; every status and body is checked.`,
    figures,
  };
};
