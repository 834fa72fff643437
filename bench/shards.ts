import { JSON_BODY } from './peers/systems.ts';
import { type BenchMesh, createMesh, median } from './support/mesh.ts';
import { installed, run } from './support/processes.ts';
import { QUICK } from './support/quick.ts';
import type { Bench, Figure } from './support/report.ts';

const ROUNDS = QUICK ? 1 : 5;
const SECONDS = QUICK ? 1 : 3;
/** Each of so many clients calls a service of its own. */
const PAIRS = 4;
const CONNECTIONS = 8;
const PROXIES = [1, 2] as const;

const SERVICE = `require('node:http').createServer((request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end('${JSON_BODY}');
}).listen(process.env.PORT, '127.0.0.1');
`;

/** `proxies: N`: the same load on workloads that stand in one data plane, and spread over two. */
export const shards: Bench = async () => {
  const title = 'Several data planes';
  if (!installed('wrk'))
    return { title, note: '', figures: [{ what: 'proxies: 2', value: 'skipped: no wrk', goal: '', met: null }] };
  const meshes = new Map<number, BenchMesh>();
  try {
    for (const proxies of PROXIES) {
      const mesh = await createMesh(() => configOf(proxies), { 'service.cjs': SERVICE });
      meshes.set(proxies, mesh);
      await mesh.mesh('up', '-d');
    }
    const rates = new Map<number, number[]>(PROXIES.map((proxies) => [proxies, []]));
    for (const mesh of meshes.values()) await load(mesh, 1);
    for (let round = 0; round < ROUNDS; round++) {
      for (let i = 0; i < PROXIES.length; i++) {
        const proxies = PROXIES[(i + round) % PROXIES.length];
        rates.get(proxies)!.push(await load(meshes.get(proxies)!, SECONDS));
      }
    }
    const one = rates.get(1)!;
    const figures: Figure[] = PROXIES.map((proxies) => {
      const values = rates.get(proxies)!;
      const compared = proxies === 1 ? '' : `, ${median(values.map((value, i) => value / one[i])).toFixed(2)}x of one`;
      const value = `${Math.round(median(values)).toLocaleString('en')} req/s${compared}`;
      return { what: `proxies: ${proxies}, ${PAIRS} clients x ${CONNECTIONS} connections`, value, goal: '', met: null };
    });
    return { title, note: note(), figures };
  } finally {
    for (const mesh of meshes.values()) await mesh.close();
  }
};

const note = (): string =>
  [
    'Nothing is pinned: proxies, clients and applications (node:http) share all cores, and the applications cost as much as the proxies.',
    'So this shows what spreading costs or gains on this machine, not what a data plane can do.',
  ].join(' ');

function configOf(proxies: number): string {
  const services: string[] = [];
  for (let i = 0; i < PAIRS; i++) {
    services.push(`app${i}: { command: ['node', 'service.cjs'] }`);
    services.push(
      `client${i}: { command: ['sleep', '100000'], readiness: { command: 'true' }, dependsOn: ['app${i}'] }`,
    );
  }
  return `import { defineMesh } from 'localmesh';
export default defineMesh({ version: 1, name: 'bench${proxies}', proxies: ${proxies}, services: { ${services.join(', ')} } });`;
}

/** Requests a second of all clients together. */
async function load(mesh: BenchMesh, seconds: number): Promise<number> {
  const { services } = await mesh.status();
  const rates = await Promise.all(
    Array.from({ length: PAIRS }, async (_, i) => {
      const outbound = services.find(({ name }) => name === `client${i}`)?.instances[0].outboundPort;
      const url = `http://127.0.0.1:${outbound}/`;
      const args = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-H', `Host: app${i}`, url];
      const text = await run(null, 'wrk', args);
      if (/Non-2xx|Socket errors/.test(text)) throw new Error(`requests failed: ${text}`);
      return Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]);
    }),
  );
  return rates.reduce((sum, rate) => sum + rate, 0);
}
