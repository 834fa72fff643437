import { createRequire } from 'node:module';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import * as vm from 'node:vm';
import { problem } from '../../model/errors.ts';
import { plainDataProblems } from '../../model/plain-data.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import { validateConfig } from '../../model/validate.ts';
import type { Bundle } from './bundle-config.ts';
import { problemOfThrown } from './thrown-error.ts';

/** Runs in the loader process only: the code of the user may do anything to it. */

/** Counts up, so that no two evaluations of the same text share a module. */
let generation = 0;

/** Errors of an evaluation that nobody caught. */
export interface StrayErrors {
  readonly errors: readonly unknown[];
  /** Resolves with the first. */
  readonly first: Promise<void>;
}

/**
 * Evaluates a bundle and returns the JSON text of what it exports, after awaiting it.
 *
 * MESH-C003: threw. MESH-C005 to C008: not plain data, with all other problems of the value. MESH-C007: no export.
 */
export async function evaluateBundle(file: string, bundle: Bundle, stray: StrayErrors): Promise<Result<string>> {
  const exit = guardExit();
  try {
    // What awaits something that died of a stray error would wait for ever.
    const value = await Promise.race([exportedValue(file, bundle), stray.first]);
    // A rejection that nobody handles is reported at the end of the turn in which it happened.
    await turn();
    if (exit.called !== null) return fail(exitProblem(exit.called, file, bundle.map));
    if (value === undefined || stray.errors.length > 0) {
      return fail(...stray.errors.map((error) => problemOfThrown(error, file, bundle.map)));
    }
    return value.ok ? serialised(value.value, file) : value;
  } catch (error) {
    if (exit.called !== null) return fail(exitProblem(exit.called, file, bundle.map));
    return fail(problemOfThrown(error, file, bundle.map));
  } finally {
    exit.release();
  }
}

async function exportedValue(file: string, { format, code }: Bundle): Promise<Result<unknown>> {
  return await settled(format === 'cjs' ? evaluateCommonJs(file, code) : await importModule(file, code), file);
}

interface Exports {
  [name: string]: unknown;
}

function evaluateCommonJs(file: string, code: string): Exports {
  const evaluate = vm.compileFunction(code, ['exports', 'require', 'module', '__filename', '__dirname'], {
    filename: file,
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  const module = { exports: {} as unknown };
  evaluate.call(module.exports, module.exports, createRequire(file), module, file, path.dirname(file));
  const { exports } = module;
  const isModule = typeof exports === 'object' && exports !== null && '__esModule' in exports;
  return isModule ? (exports as Exports) : { default: isEmpty(exports) ? undefined : exports };
}

const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0;

/** A data: URL needs no file, so there is none to leave behind; what the bundle imports are absolute URLs. */
async function importModule(file: string, code: string): Promise<Exports> {
  const source = `${code}\n//# sourceURL=${file}\n//${++generation}`;
  return (await import(`data:text/javascript;base64,${Buffer.from(source).toString('base64')}`)) as Exports;
}

async function settled(exports: Exports, file: string): Promise<Result<unknown>> {
  const name = path.basename(file);
  const example = "export default defineMesh({ version: 1, name: 'shop', services: {} })";
  if (exports.default === undefined) {
    const others = Object.keys(exports).filter((key) => key !== '__esModule' && key !== 'default');
    const message =
      others.length === 0
        ? `${name} has no default export`
        : `${name} has no default export, only ${others.slice(0, 5).join(', ')}`;
    return fail({ ...problem('MESH-C007', { message, hint: example }), file });
  }
  const exported = await exports.default;
  if (typeof exported !== 'function') return ok(exported);
  const returned = await (exported as () => unknown)();
  if (returned !== undefined) return ok(returned);
  const message = `the function that ${name} exports returned nothing`;
  const hint = 'return the object, or put it in round brackets: defineMesh(() => ({ version: 1, ... }))';
  return fail({ ...problem('MESH-C007', { message, hint, path: '' }) });
}

function serialised(value: unknown, file: string): Result<string> {
  let foreign: Problem[];
  try {
    foreign = plainDataProblems(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return fail({ ...problem('MESH-C008', { message: 'objects nested too deeply' }), file });
  }
  // What is no plain data does not survive the way to the control plane, so the whole is judged here, at once.
  if (foreign.length > 0) return fail(...validateConfig(value).problems);
  return ok(JSON.stringify(value) ?? 'null');
}

interface ExitGuard {
  /** Made where `process.exit` was called, or null. */
  called: Error | null;
  release(): void;
}

/** `process.exit` in a configuration is a mistake to be shown, with its place, even where the code catches everything. */
function guardExit(): ExitGuard {
  const { exit } = process;
  const guard: ExitGuard = {
    called: null,
    release: () => {
      process.exit = exit;
    },
  };
  process.exit = (code) => {
    guard.called ??= new Error(`process.exit(${code ?? ''})`);
    throw guard.called;
  };
  return guard;
}

function exitProblem(called: Error, file: string, map: string): Problem {
  const thrown = problemOfThrown(called, file, map);
  return { ...thrown, message: `it called ${called.message}`, hint: 'throw an error instead' };
}
