import path from 'node:path';
import { transform } from 'esbuild';
import type { Problem, Result } from '../../model/result.ts';
import { type BundleInputs, bundleConfig } from './bundle-config.ts';
import { evaluateBundle, type StrayErrors } from './evaluate-config.ts';
import type { LoaderMessage, LoaderRequest } from './loader-messages.ts';

/** Modules imported from data: URLs stay in Node's cache for ever, about 13 KB each. */
const MAX_MODULES = 100;
const MAX_RSS_BYTES = 400 * 1024 * 1024;
/** Handles that come and go by themselves. */
const TRANSIENT = /^(?:Immediate|TickObject|FSReq|PipeWrap|MessagePort|Worker|CloseReq|TTYWrap|WriteWrap|ProcessWrap$)/;

/** Answers requests on the IPC channel, one at a time, until it closes. */
export function serveLoads(): void {
  let stray: StrayCollector | null = null;
  let modules = 0;

  const noteStray = (error: unknown) => {
    if (stray === null) console.error(error);
    else stray.add(error);
  };
  process.on('uncaughtException', noteStray);
  process.on('unhandledRejection', noteStray);
  // Ctrl-C in a terminal reaches every process of the group; the parent decides when this one ends.
  process.on('SIGINT', () => {});
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  Error.stackTraceLimit = 50;
  // Starts esbuild's own process now: whoever keeps this one in reserve wants it warm.
  void transform('');

  const load = async (id: number, file: string): Promise<void> => {
    const collector = collectStrayErrors();
    stray = collector;
    const inputs: BundleInputs = { files: new Map(), missing: new Set() };
    const before = traces();
    const environment = { ...process.env };
    process.chdir(path.dirname(file));
    const bundled = await bundleConfig(file, inputs);
    send({
      kind: 'inputs',
      id,
      files: [...inputs.files].map(([path, text]) => ({ path, text })),
      missing: [...inputs.missing],
    });
    const result: Result<string> = bundled.ok ? await evaluateBundle(file, bundled.value, collector) : bundled;
    if (bundled.ok && bundled.value.format === 'esm') modules++;
    restoreEnvironment(environment);
    const spent = collector.errors.length > 0 || modules >= MAX_MODULES || isSpent(before);
    stray = null;
    const warnings: Problem[] = bundled.ok ? bundled.value.warnings : [];
    send({
      kind: 'answer',
      id,
      value: result.ok ? result.value : null,
      problems: result.ok ? warnings : [...result.problems, ...warnings],
      spent,
    });
  };

  let queue = Promise.resolve();
  process.on('message', (request: LoaderRequest) => {
    if (request.kind === 'ping') send({ kind: 'alive', id: request.id });
    else queue = queue.then(() => load(request.id, request.file));
  });
}

interface StrayCollector extends StrayErrors {
  add(error: unknown): void;
}

function collectStrayErrors(): StrayCollector {
  const errors: unknown[] = [];
  let noticed: () => void = () => {};
  const first = new Promise<void>((resolve) => {
    noticed = resolve;
  });
  return {
    errors,
    first,
    add: (error) => {
      errors.push(error);
      noticed();
    },
  };
}

/** Without a channel there is nobody left to answer, and `disconnect` ends the process. */
function send(message: LoaderMessage): void {
  if (process.connected) process.send?.(message);
}

/** What a configuration can leave behind in the process. */
interface Traces {
  handles: number;
  globals: number;
}

const traces = (): Traces => ({
  handles: process.getActiveResourcesInfo().filter((kind) => !TRANSIENT.test(kind)).length,
  globals: Reflect.ownKeys(globalThis).length,
});

function isSpent(before: Traces): boolean {
  const now = traces();
  return now.handles > before.handles || now.globals !== before.globals || process.memoryUsage.rss() > MAX_RSS_BYTES;
}

function restoreEnvironment(before: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  for (const [name, value] of Object.entries(before)) if (process.env[name] !== value) process.env[name] = value;
}
