import * as v from 'valibot';
import { type CheckContext, runChecks } from './checks/registry.ts';
import type { MeshConfig } from './config.ts';
import { formatPath, isWithin, type PathSegment } from './config-path.ts';
import { problem } from './errors.ts';
import { plainDataProblems } from './plain-data.ts';
import type { Problem } from './result.ts';
import { meshConfig } from './schema.ts';
import { isPlainObject, nameUnknownKey, readIssue } from './schema-parts.ts';
import { show } from './show.ts';

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
  const foreign = plainDataProblems(input);
  const root = notAnObject(input, foreign);
  if (root !== null) return { config: null, problems: root };

  const own = uniqueProblems(foreign, structuralProblems(input));
  const config = own.length === 0 ? (input as MeshConfig) : withoutBroken(input, own);
  const brokenPaths = own.map((p) => p.path ?? '');
  const found: Problem[] = [];
  const context: CheckContext = {
    config,
    serviceNames: isPlainObject((input as MeshConfig).services) ? Object.keys((input as MeshConfig).services) : [],
    isBroken: (path) => brokenPaths.some((broken) => isWithin(broken, path)),
    report: (p) => found.push(p),
  };
  runChecks(context);

  const problems = [...own, ...found.filter((p) => !context.isBroken(p.path ?? ''))];
  return { config: problems.some((p) => p.severity !== 'warning') ? null : config, problems };
}

/** There is nothing to go on where the whole is of the wrong kind. */
function notAnObject(input: unknown, foreign: Problem[]): Problem[] | null {
  if (isPlainObject(input)) return null;
  if (foreign.length > 0 && foreign[0].path === '') return [foreign[0]];
  const hint = "export default defineMesh({ version: 1, name: 'shop', services: {} })";
  return [problem('MESH-C007', { path: '', message: `the configuration is ${show(input)}, not an object`, hint })];
}

function structuralProblems(input: unknown): Problem[] {
  return issuesOf(input).map(({ path, text }) => {
    const issue = readIssue(text);
    const named = issue.code === 'MESH-C101' ? nameUnknownKey(issue, String(path.at(-1))) : issue;
    const { code, message, hint } = named;
    if (code === 'MESH-C104' && path.length === 1 && path[0] === 'version') {
      return problem('MESH-C009', { path, message: `version ${message.replace(/ is not allowed here$/, '')} is not known`, hint: 'this mesh reads version 1' });
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

/** A Promise or NaN is also of the wrong type: the first thing said about a place is enough. */
function uniqueProblems(...lists: Problem[][]): Problem[] {
  const seen = new Set<string | undefined>();
  const kept: Problem[] = [];
  for (const problems of lists) {
    const before = new Set(seen);
    for (const p of problems) {
      if (before.has(p.path)) continue;
      seen.add(p.path);
      kept.push(p);
    }
  }
  return kept;
}

/**
 * A copy of the configuration that satisfies the schema: what is broken is removed, and with it what cannot do without
 * it. Lists with a broken element go as a whole, so that positions in the rest stay true.
 */
function withoutBroken(input: unknown, problems: readonly Problem[]): MeshConfig {
  const copy = copyPlain(input, new Set()) as Record<string, unknown>;
  for (let issues = issuesOf(copy); issues.length > 0; issues = issuesOf(copy)) {
    for (const { path } of issues) cutOut(copy, path);
    copy.version = 1;
    if (issues.some((issue) => issue.path[0] === 'name')) copy.name = 'unnamed';
    if (!isPlainObject(copy.services)) copy.services = {};
  }
  void problems;
  return copy as unknown as MeshConfig;
}
