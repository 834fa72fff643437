import type { PathSegment } from './config-path.ts';
import { problem } from './errors.ts';
import type { Problem } from './result.ts';
import { isPlainObject } from './schema-parts.ts';
import { isPromise, show } from './show.ts';

/**
 * What in a configuration is no plain data: a forgotten `await` or call, class instances, numbers that JSON does not
 * know, cycles. To be asked before a configuration is serialised, which would turn most of them into `{}` or null.
 */
export function plainDataProblems(input: unknown): Problem[] {
  const problems: Problem[] = [];
  const path: PathSegment[] = [];
  const open = new Set<unknown>();

  const visit = (value: unknown): void => {
    switch (typeof value) {
      case 'string':
      case 'boolean':
      case 'undefined':
        return;
      case 'number':
        if (!Number.isFinite(value))
          problems.push(problem('MESH-C008', { path, message: `${value} is not a finite number` }));
        return;
      case 'function':
        problems.push(
          problem('MESH-C006', {
            path,
            message: `found ${show(value)} where a value belongs`,
            hint: value.name === '' ? 'call it' : `call it: ${value.name}()`,
          }),
        );
        return;
      case 'bigint':
      case 'symbol':
        problems.push(problem('MESH-C008', { path, message: `${show(value)} is not plain data` }));
        return;
    }
    if (value === null) return;
    if (isPromise(value)) {
      const hint =
        path.length === 0
          ? 'export default await ...'
          : 'put await in front, in an async function: defineMesh(async () => ...)';
      problems.push(problem('MESH-C005', { path, message: 'found a Promise that was not awaited', hint }));
      return;
    }
    if (open.has(value)) {
      problems.push(problem('MESH-C008', { path, message: 'an object that contains itself' }));
      return;
    }
    open.add(value);
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) descend(i, value[i]);
    } else if (isPlainObject(value)) {
      for (const key in value) descend(key, value[key]);
    } else {
      problems.push(
        problem('MESH-C008', {
          path,
          message: `found ${className(value as object)}, which is not plain data`,
          hint: 'objects, lists, text, numbers, true and false; of a Map: Object.fromEntries(map)',
        }),
      );
    }
    open.delete(value);
  };

  const descend = (segment: PathSegment, value: unknown): void => {
    path.push(segment);
    visit(value);
    path.pop();
  };

  visit(input);
  return problems;
}

function className(value: object): string {
  const name = (value as { constructor?: { name?: unknown } }).constructor?.name;
  return typeof name === 'string' && name !== '' ? `an instance of ${name}` : 'an object with a prototype of its own';
}
