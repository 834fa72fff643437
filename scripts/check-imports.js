/**
 * Keeps the shape of src/: which layer may import which, no cycles, no barrels, no oversized files, one place that
 * ends the process. Prints every violation; exit code 1 if there is one.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** Layers that a layer may import besides itself. */
const MAY_IMPORT = {
  model: [],
  proxy: ['model'],
  runtime: ['model', 'proxy'],
  tui: ['model'],
  scaffold: ['model'],
  commands: ['model', 'runtime', 'tui', 'scaffold'],
};
/** The only module that may call process.exit. */
const EXIT_ALLOWED = 'runtime/client/base-command.ts';
const MOST_LINES = 600;
const MOST_LINES_OF_COMMAND = 80;

/** `import ... from 'x'`, `export ... from 'x'`, `import 'x'`, `import('x')`; the first group is set for types. */
const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s+(?:(type\s)[^'";]*?from\s*|(?:[^'";]*?\bfrom\s*)?)'([^']+)'|\bimport\(\s*'([^']+)'/g;

/** @param {Map<string, string>} sources text by path relative to src, with forward slashes */
export function violations(sources) {
  const found = [];
  /** @type {Map<string, string[]>} value imports only: those of types leave no trace at run time */
  const graph = new Map();
  for (const [file, text] of sources) {
    const code = withoutComments(text);
    const layer = layerOf(file);
    const targets = [];
    for (const [, isType, fromName, dynamicName] of code.matchAll(IMPORT)) {
      const name = fromName ?? dynamicName;
      if (!name.startsWith('.')) continue;
      if (!/\.[jt]sx?$/.test(name)) found.push(`${file}: import '${name}' lacks its extension`);
      const target = path.posix.join(path.posix.dirname(file), name);
      if (target.startsWith('..')) {
        found.push(`${file}: import '${name}' leaves src/`);
        continue;
      }
      if (!sources.has(target)) found.push(`${file}: import '${name}' does not exist`);
      const other = layerOf(target);
      if (other !== layer && !(layer === null ? other === 'model' : MAY_IMPORT[layer]?.includes(other))) {
        found.push(
          `${file}: ${layer ?? 'the public module'} must not import ${other ?? 'the public module'} (${name})`,
        );
      }
      if (isType === undefined && dynamicName === undefined) targets.push(target);
    }
    graph.set(file, targets);
    if (/(?<![\w.`])process\.(exit|reallyExit)\s*\(/.test(code) && file !== EXIT_ALLOWED) {
      found.push(`${file}: only ${EXIT_ALLOWED} may call process.exit; return, or set process.exitCode`);
    }
    const lines = text.trimEnd().split('\n').length;
    const most = layer === 'commands' ? MOST_LINES_OF_COMMAND : MOST_LINES;
    if (lines > most) found.push(`${file}: ${lines} lines, at most ${most}`);
    if (isBarrel(code) && file !== 'index.ts') found.push(`${file}: a barrel, which only re-exports`);
  }
  return [...found, ...cycles(graph)];
}

/** Null: src/index.ts and what else stands beside the layers. */
function layerOf(file) {
  const at = file.indexOf('/');
  return at < 0 ? null : file.slice(0, at);
}

/** Good enough for finding imports: strings keep what looks like a comment in them, whole-line comments go. */
function withoutComments(text) {
  return text.replaceAll(/^\s*\/\*[\s\S]*?\*\/\s*$/gm, '').replaceAll(/^\s*\/\/.*$/gm, '');
}

function isBarrel(code) {
  const statements = code
    .split(/;\s*(?:\n|$)/)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
  return statements.length > 0 && statements.every((statement) => /^export\s[^=(]*\bfrom\s*'/.test(statement));
}

/** Each cycle once, from its first file in order of the alphabet. */
function cycles(graph) {
  const found = new Set();
  const done = new Set();
  const visit = (file, trail) => {
    const at = trail.indexOf(file);
    if (at >= 0) {
      const cycle = trail.slice(at);
      const first = cycle.indexOf([...cycle].sort()[0]);
      found.add([...cycle.slice(first), ...cycle.slice(0, first), cycle[first]].join(' -> '));
      return;
    }
    if (done.has(file)) return;
    for (const target of graph.get(file) ?? []) visit(target, [...trail, file]);
    done.add(file);
  };
  for (const file of [...graph.keys()].sort()) visit(file, []);
  return [...found].map((cycle) => `cycle: ${cycle}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const src = path.join(import.meta.dirname, '..', 'src');
  const files = readdirSync(src, { recursive: true })
    .map((file) => file.replaceAll(path.sep, '/'))
    .filter((file) => /\.tsx?$/.test(file));
  const found = violations(new Map(files.map((file) => [file, readFileSync(path.join(src, file), 'utf8')])));
  for (const line of found) process.stderr.write(`${line}\n`);
  if (found.length > 0) process.exitCode = 1;
  else process.stdout.write(`${files.length} files keep the rules\n`);
}
