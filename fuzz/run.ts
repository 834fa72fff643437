/**
 * `npm run fuzz [-- --seed N --seconds S --only http1|http2|proxy --case N]`: throws inputs at the codecs and the proxies,
 * so many seconds at each. Prints the seed; at a finding the smallest input that shows it, and exits with 1.
 */
import { parseArgs } from 'node:util';
import { fuzz } from './campaign.ts';
import { http1Target } from './http1.ts';
import { http2Target } from './http2.ts';
import { startProxyTarget } from './proxy.ts';
import type { Finding, FuzzTarget } from './target.ts';

const TARGETS: Record<string, () => FuzzTarget | Promise<FuzzTarget>> = {
  http1: http1Target,
  http2: http2Target,
  proxy: startProxyTarget,
};
const DEFAULT_SECONDS = 30;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seconds: { type: 'string' },
    only: { type: 'string', multiple: true },
    case: { type: 'string' },
  },
});
const names = values.only ?? Object.keys(TARGETS);
const unknown = names.filter((name) => !(name in TARGETS));
if (unknown.length > 0)
  throw new Error(`there is no target ${unknown.join(', ')}; there are: ${Object.keys(TARGETS).join(', ')}`);
const seed = values.seed === undefined ? Math.floor(Math.random() * 0x7fff_ffff) : wholeNumber('seed', values.seed);
const seconds = values.seconds === undefined ? DEFAULT_SECONDS : wholeNumber('seconds', values.seconds);
const only = values.case === undefined ? undefined : wholeNumber('case', values.case);

console.log(`seed ${seed}, ${seconds} s for each of: ${names.join(', ')}`);
for (const name of names) {
  const target = await TARGETS[name]();
  try {
    const outcome = await fuzz(target, { seed, durationMs: seconds * 1000, only });
    const { cases, bytes, kinds, heapGrowthBytes, finding } = outcome;
    const growth =
      heapGrowthBytes === null
        ? ''
        : `, heap ${heapGrowthBytes >= 0 ? '+' : ''}${(heapGrowthBytes / 1e6).toFixed(1)} MB`;
    const each = Object.entries(kinds).map(([kind, n]) => `${n} ${kind}`);
    console.log(`${name}: ${cases} cases, ${(bytes / 1e6).toFixed(1)} MB${growth} (${each.join(', ')})`);
    if (finding !== null) {
      print(finding);
      process.exitCode = 1;
    }
  } finally {
    await target.close?.();
  }
}

function print({ target, kind, seed: of, caseIndex, what, input }: Finding): void {
  console.log(`\nFOUND by ${target} (${kind}): ${what}`);
  console.log(`again: npm run fuzz -- --only ${target} --seed ${of} --case ${caseIndex}`);
  console.log(`smallest input, ${input.length} bytes: ${input.toString('hex')}`);
  console.log(`as text: ${JSON.stringify(input.subarray(0, 2_000).toString('latin1'))}\n`);
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new Error(`--${name} wants a whole number, not ${text}`);
  return value;
}
