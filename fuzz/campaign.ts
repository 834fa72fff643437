import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { caseSeed, createRandom } from './random.ts';
import { CASE_DEADLINE_MS, type Finding, type FuzzCase, type FuzzTarget, type Outcome } from './target.ts';

/** Cases before the heap is taken as what the target needs. */
const WARM_UP_CASES = 300;
/** What the heap may grow by after that: caches of bounded size fill, code is compiled. */
const HEAP_GROWTH_BYTES = 32 * 1024 * 1024;
const MINIMIZE_MS = 10_000;

export interface CampaignOptions {
  seed: number;
  /** Time for new cases; making a found input smaller may take ten seconds more. */
  durationMs: number;
  /** Only this case, of that seed. */
  only?: number;
}

/** Runs cases until the time is up or one does not hold. */
export async function fuzz(target: FuzzTarget, { seed, durationMs, only }: CampaignOptions): Promise<Outcome> {
  const bugs: unknown[] = [];
  const onBug = (error: unknown) => bugs.push(error);
  process.on('uncaughtException', onBug);
  process.on('unhandledRejection', onBug);
  const kinds: Record<string, number> = {};
  let cases = 0;
  let bytes = 0;
  let warmHeap: number | null = null;
  let finding: Finding | null = null;
  const verdict = (each: FuzzCase) => (input: Buffer) => judge(each, input, bugs);
  try {
    const end = performance.now() + durationMs;
    for (let index = only ?? 0; finding === null && performance.now() < end; index++) {
      const random = createRandom(caseSeed(seed, index));
      const each = target.make(random);
      const what = await verdict(each)(each.input);
      cases++;
      bytes += each.input.length;
      kinds[each.kind] = (kinds[each.kind] ?? 0) + 1;
      if (what !== null) {
        const input = await minimize(each, what, verdict(each));
        finding = { target: target.name, kind: each.kind, seed, caseIndex: index, what, input };
      }
      if (only !== undefined) break;
      if (cases === WARM_UP_CASES) warmHeap = heapBytes();
    }
    const heapGrowthBytes = warmHeap === null ? null : heapBytes() - warmHeap;
    if (finding === null && heapGrowthBytes !== null && heapGrowthBytes > HEAP_GROWTH_BYTES) {
      const what = `the heap has grown by ${Math.round(heapGrowthBytes / 1e6)} MB over ${cases - WARM_UP_CASES} cases`;
      finding = { target: target.name, kind: 'memory', seed, caseIndex: -1, what, input: Buffer.alloc(0) };
    }
    return { cases, bytes, kinds, heapGrowthBytes, finding };
  } finally {
    process.off('uncaughtException', onBug);
    process.off('unhandledRejection', onBug);
  }
}

/** What is wrong with a target's answer to an input: what its own check says, what it threw anywhere, or its slowness. */
async function judge(each: FuzzCase, input: Buffer, bugs: unknown[]): Promise<string | null> {
  const start = performance.now();
  let what: string | null;
  try {
    const answer = each.check(input);
    what = answer instanceof Promise ? await answer : answer;
  } catch (error) {
    what = describe(error);
  }
  if (bugs.length > 0) {
    what = `uncaught: ${describe(bugs[0])}`;
    bugs.length = 0;
  }
  const tookMs = performance.now() - start;
  return what ?? (tookMs > CASE_DEADLINE_MS * 2 ? `took ${Math.round(tookMs)} ms` : null);
}

/**
 * Takes away what the failure does not need: halves, quarters, ... down to single bytes, again and again (delta
 * debugging). The failure has to stay of its kind, which is the first words of what was said about it.
 */
async function minimize(
  { input, parts }: FuzzCase,
  what: string,
  verdict: (input: Buffer) => Promise<string | null>,
): Promise<Buffer> {
  const end = performance.now() + MINIMIZE_MS;
  const kind = (text: string | null) => text?.replace(/[\d"'].*/s, '') ?? null;
  const wanted = kind(what);
  let best = input;
  for (let at = 0; parts !== undefined; ) {
    const all = parts(best);
    if (at >= all.length || performance.now() > end) break;
    const candidate = Buffer.concat(all.filter((_, i) => i !== at));
    if (kind(await verdict(candidate)) === wanted) best = candidate;
    else at++;
  }
  for (let size = Math.ceil(best.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    let smaller = true;
    while (smaller) {
      smaller = false;
      for (let at = 0; at < best.length; ) {
        if (performance.now() > end) return best;
        const candidate = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
        if (kind(await verdict(candidate)) === wanted) {
          best = candidate;
          smaller = true;
        } else at += size;
      }
    }
  }
  return best;
}

const describe = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message).split('\n').slice(0, 6).join(' | ') : String(error);

let collect: (() => void) | null = null;

/** Bytes in use after a collection. Buffers count too: they are what a proxy holds. */
export function heapBytes(): number {
  if (collect === null) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
