/** `npm run bench [-- NAME...]`: measures, prints, and writes bench/RESULTS.md when everything was run. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { compileBench } from './compile.ts';
import { faults } from './faults.ts';
import { memory } from './memory.ts';
import { outbox } from './outbox.ts';
import { peers } from './peers.ts';
import { reload } from './reload.ts';
import { shards } from './shards.ts';
import { startup } from './startup.ts';
import { root } from './support/mesh.ts';
import { type Bench, type Section, toMarkdown } from './support/report.ts';
import { telemetry } from './telemetry.ts';
import { telemetryCost } from './telemetry-cost.ts';

const BENCHES: Record<string, Bench> = {
  ...{ startup, reload, memory, compile: compileBench, faults },
  ...{ telemetry, 'telemetry-cost': telemetryCost, shards, outbox, peers },
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in BENCHES));
if (unknown.length > 0)
  throw new Error(`there is no bench ${unknown.join(', ')}; there are: ${Object.keys(BENCHES).join(', ')}`);

const sections: Section[] = [];
for (const [name, bench] of Object.entries(BENCHES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const section = await bench();
  if (section === null) continue;
  sections.push(section);
  process.stdout.write(`${toMarkdown([section], new Date()).split('\n').slice(6).join('\n')}\n`);
}
if (wanted.length === 0) await writeFile(path.join(root, 'bench/RESULTS.md'), toMarkdown(sections, new Date()));
