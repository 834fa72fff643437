import * as v from 'valibot';
import type { CheckContext } from './checks/context.ts';
import { runChecks } from './checks/registry.ts';
import { checkResources } from './checks/resources.ts';
import type { MeshConfig } from './config.ts';
import { isWithin, type PathSegment } from './config-path.ts';
import { problem } from './errors.ts';
import { plainDataProblems } from './plain-data.ts';
import { withResources } from './resource-services.ts';
import type { Problem } from './result.ts';
import { meshConfig } from './schema.ts';
import { isPlainObject, nameUnknownKey, readIssue } from './schema-parts.ts';
import { isPromise, show } from './show.ts';

export interface Validation {
  /** Null as long as a problem is an error. */
  readonly config: MeshConfig | null;
  /** Errors and warnings. */
  readonly problems: readonly Problem[];
}

/**
 * Finds all problems of a configuration at once. What is broken in itself is cut out and the rest is still checked
 * for what its parts say about each other; nothing is said about a place that already has a problem of its own.
 */
export function validateConfig(input: unknown): Validation {
  if (!isPlainObject(input) || isPromise(input)) return { config: null, problems: [notAnObject(input)] };

  const structural = structuralProblems(input);
  // What is no plain data does not fit the schema either, so a clean configuration is not searched for it. Of a place
  // where there is a Promise, that it also is of the wrong type is not worth saying.
  const foreign = structural.length === 0 ? [] : plainDataProblems(input);
  const foreignPaths = new Set(foreign.map((p) => p.path));
  const own = [...foreign, ...structural.filter((p) => !foreignPaths.has(p.path))];
  const config = own.length === 0 ? (input as unknown as MeshConfig) : withoutBroken(input);
  const brokenPaths = own.map((p) => p.path ?? '');
  const found: Problem[] = [];
  const whole = withResources(config);
  const written = [input.services, input.resources].filter(isPlainObject);
  const context: CheckContext = {
    config: whole,
    serviceNames: new Set([...written, whole.services].flatMap(Object.keys)),
    isBroken: (path) => brokenPaths.some((broken) => isWithin(broken, path)),
    report: (p) => found.push(...atResource(p, input)),
  };
  checkResources(config, context.report);
  runChecks(context);

  const problems = [...own, ...found.filter((p) => !context.isBroken(p.path ?? ''))];
  return { config: problems.some((p) => p.severity !== 'warning') ? null : config, problems };
}

/** What checks find about a service that stands for a resource, where the user wrote it: what it names was looked at there. */
function atResource(found: Problem, { services, resources }: Record<string, unknown>): Problem[] {
  const [, name, rest] = /^services\.([^.[]+)(.*)$/.exec(found.path ?? '') ?? [];
  if (name === undefined || (isPlainObject(services) && Object.hasOwn(services, name))) return [found];
  if (found.code === 'MESH-C203' || !isPlainObject(resources)) return [];
  return Object.hasOwn(resources, name) ? [{ ...found, path: `resources.${name}${rest}` }] : [];
}

/** There is nothing to go on where the whole is of the wrong kind. */
function notAnObject(input: unknown): Problem {
  const [foreign] = plainDataProblems(input);
  if (foreign !== undefined && foreign.path === '') return foreign;
  const hint = "export default defineMesh({ version: 1, name: 'shop', services: {} })";
  return problem('MESH-C007', { path: '', message: `the configuration is ${show(input)}, not an object`, hint });
}

function structuralProblems(input: unknown): Problem[] {
  return issuesOf(input).map(({ path, text }) => {
    const issue = readIssue(text);
    const named = issue.code === 'MESH-C101' ? nameUnknownKey(issue, String(path.at(-1))) : issue;
    const { code, message, hint } = named;
    if (code === 'MESH-C104' && path.length === 1 && path[0] === 'version') {
      const version = show((input as { version: unknown }).version);
      return problem('MESH-C009', {
        path,
        message: `version ${version} is not known`,
        hint: 'this mesh reads version: 1',
      });
    }
    return problem(code, { path, message, hint });
  });
}

interface RawIssue {
  readonly path: readonly PathSegment[];
  readonly text: string;
}

function issuesOf(input: unknown): RawIssue[] {
  const result = v.safeParse(meshConfig, input);
  return (result.issues ?? []).map((issue) => ({
    path: (issue.path ?? []).map((item) => item.key as PathSegment),
    text: issue.message,
  }));
}

/**
 * A copy of the configuration that satisfies the schema: what is broken is removed, and with it what cannot do without
 * it. Lists with a broken element go as a whole, so that positions in the rest stay true.
 */
function withoutBroken(input: unknown): MeshConfig {
  const copy = copyPlain(input) as Record<string, unknown>;
  for (let issues = issuesOf(copy); issues.length > 0; issues = issuesOf(copy)) {
    // Places are worked out before any is cut: a key that is missing now was missing before.
    const places = issues.map(({ path }) => cuttable(copy, path));
    for (const place of places) cutOut(copy, place);
    copy.version = 1;
    if (typeof copy.name !== 'string') copy.name = 'unnamed';
    if (!isPlainObject(copy.services)) copy.services = {};
  }
  return copy as unknown as MeshConfig;
}

/** The innermost place at or above `path` that is there and stands in an object. */
function cuttable(root: unknown, path: readonly PathSegment[]): readonly PathSegment[] {
  let value = root;
  let length = 0;
  for (let i = 0; i < path.length; i++) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, path[i])) break;
    if (!Array.isArray(value)) length = i + 1;
    value = (value as Record<PathSegment, unknown>)[path[i]];
    // A required key is missing: what needs it goes.
    if (i + 1 < path.length && isPlainObject(value) && !Object.hasOwn(value, path[i + 1])) break;
  }
  return path.slice(0, length);
}

function cutOut(root: Record<string, unknown>, place: readonly PathSegment[]): void {
  if (place.length === 0) return;
  let parent: unknown = root;
  for (const segment of place.slice(0, -1)) parent = (parent as Record<PathSegment, unknown> | undefined)?.[segment];
  if (typeof parent === 'object' && parent !== null) delete (parent as Record<PathSegment, unknown>)[place.at(-1)!];
}

/** Objects and lists copied, without cycles; all else as it is. */
function copyPlain(value: unknown, above: readonly unknown[] = []): unknown {
  if (above.includes(value)) return undefined;
  if (Array.isArray(value)) return value.map((item) => copyPlain(item, [...above, value]));
  if (!isPlainObject(value)) return value;
  const copy: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) copy[key] = copyPlain(item, [...above, value]);
  return copy;
}
