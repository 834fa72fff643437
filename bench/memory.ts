import { createMesh, residentBytes, sleep } from './support/mesh.ts';
import { type Bench, mb } from './support/report.ts';

const SIZES = [10, 50, 200];

/** Resident memory of daemon and data plane, with services that cost nothing themselves. */
export const memory: Bench = async () => {
  const totals: number[] = [];
  for (const size of SIZES) {
    const services = Array.from({ length: size }, (_, i) => {
      const depends = i === 0 ? '' : `, dependsOn: { s${i - 1}: 'started' }`;
      return `s${i}: { command: 'echo up; exec sleep 3600', readiness: { log: 'up' }${depends} }`;
    });
    const mesh = await createMesh(
      (gateway) => `import { defineMesh } from 'localmesh';
export default defineMesh({ version: 1, name: 'bench', gateway: { http: ${gateway}, routes: [{ backends: [{ service: 's0' }] }] }, services: { ${services.join(',\n')} } });`,
    );
    try {
      await mesh.mesh('up', '-d');
      await sleep(3_000);
      const { pid, dataPlanePids } = await mesh.status();
      const bytes = await Promise.all([pid, ...dataPlanePids].map(residentBytes));
      totals.push(bytes.reduce((a, b) => a + b, 0));
    } finally {
      await mesh.close();
    }
  }
  const each = (totals[2] - totals[0]) / (SIZES[2] - SIZES[0]);
  return {
    title: 'Memory',
    note: 'Resident memory of the daemon and the data plane together, three seconds after all services are ready, each with its inbound, outbound and one dependency listener.',
    figures: [
      { what: '10 services', value: mb(totals[0]), goal: 'under 170 MB', met: totals[0] < 170e6 },
      { what: '50 services', value: mb(totals[1]), goal: '', met: null },
      { what: '200 services', value: mb(totals[2]), goal: '', met: null },
      { what: 'each further service (10 to 200)', value: mb(each), goal: 'under 1 MB', met: each < 1e6 },
    ],
  };
};
