import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { createMesh, median, root } from './support/mesh.ts';
import { type Bench, ms } from './support/report.ts';

const ROUNDS = 9;

/** A service that does next to nothing, so that what is measured is the mesh. */
export const TRIVIAL_SERVICE = `require('http').createServer((q, r) => r.end('ok')).listen(process.env.PORT, '127.0.0.1');`;

export const startup: Bench = async () => {
  const time = (args: string[]) => {
    const began = performance.now();
    const { status } = spawnSync(process.execPath, args, { stdio: 'ignore' });
    if (status !== 0) throw new Error(`node ${args.join(' ')} exited with ${status}`);
    return performance.now() - began;
  };
  const bare: number[] = [];
  const version: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    bare.push(time(['-e', '0']));
    version.push(time([path.join(root, 'bin/run.js'), '--version']));
  }
  const ratio = median(version) / median(bare);

  const names = ['one', 'two', 'three', 'four', 'five'];
  const services = names.map((name) => `${name}: { command: ['node', 'service.js'] }`).join(', ');
  const mesh = await createMesh(
    (gateway) => `import { defineMesh } from 'localmesh';
export default defineMesh({ version: 1, name: 'bench', gateway: { http: ${gateway}, routes: [{ backends: [{ service: 'one' }] }] }, services: { ${services} } });`,
    { 'service.js': TRIVIAL_SERVICE },
  );
  const up: number[] = [];
  const down: number[] = [];
  try {
    for (let i = 0; i < 5; i++) {
      let began = performance.now();
      await mesh.mesh('up', '-d');
      up.push(performance.now() - began);
      began = performance.now();
      await mesh.mesh('down');
      down.push(performance.now() - began);
    }
  } finally {
    await mesh.close();
  }
  return {
    title: 'Start and stop',
    note: `Medians of ${ROUNDS} starts of the CLI and 5 of a mesh with five trivial services; \`mesh up -d\` and \`mesh down\` as whole commands.`,
    figures: [
      {
        what: '`mesh --version` against `node -e 0`',
        value: `${ratio.toFixed(2)}x (${ms(median(version))} / ${ms(median(bare))})`,
        goal: 'at most 2.5x',
        met: ratio <= 2.5,
      },
      {
        what: '`mesh up -d`, five services, all ready',
        value: ms(median(up)),
        goal: 'under 2 s',
        met: median(up) < 2_000,
      },
      { what: '`mesh down`', value: ms(median(down)), goal: 'under 1 s', met: median(down) < 1_000 },
    ],
  };
};
