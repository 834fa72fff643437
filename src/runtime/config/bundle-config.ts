import { realpathSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire, isBuiltin } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { type BuildFailure, build, type Loader, type Message, type Plugin, type PluginBuild } from 'esbuild';
import { problem } from '../../model/errors.ts';
import { RESOURCE_FUNCTIONS } from '../../model/resource-config.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';

type BundleFormat = 'cjs' | 'esm';

export interface Bundle {
  format: BundleFormat;
  code: string;
  /** Source map (JSON), its sources relative to the directory of the configuration. */
  map: string;
  warnings: Problem[];
}

/** Filled while bundling, and true also where it fails. */
export interface BundleInputs {
  /** Text by absolute path of every local file that was read. */
  files: Map<string, string>;
  /** Absolute paths that would satisfy an import which was not found. */
  missing: Set<string>;
}

const SCRIPT = /\.[cm]?[jt]sx?$/;
const SOURCES = /\.(?:[cm]?[jt]sx?|json)$/;
const LOADERS: Readonly<Record<string, Loader>> = {
  '.ts': 'ts',
  '.mts': 'ts',
  '.cts': 'ts',
  '.tsx': 'tsx',
  '.jsx': 'jsx',
  '.js': 'js',
  '.mjs': 'js',
  '.cjs': 'js',
  '.json': 'json',
};
/** What an import without an extension may mean. */
const GUESSES = ['', '.ts', '.mts', '.js', '.mjs', '.json', `${path.sep}index.ts`, `${path.sep}index.js`];

/** Names that differ from file to file, and so cannot be parameters of the bundle. */
const PLACES = {
  'import.meta.url': '__mesh_url',
  'import.meta.filename': '__mesh_filename',
  'import.meta.dirname': '__mesh_dirname',
  __filename: '__mesh_filename',
  __dirname: '__mesh_dirname',
} as const;
const MENTIONS_PLACE = /\bimport\.meta\b|\b__(?:file|dir)name\b/;

const PLACE = 'mesh-place';
const LOCALMESH = 'localmesh';
/** What src/index.ts does, as text. */
const PUBLIC_MODULE = [
  'export const defineMesh = (config) => config;',
  ...Object.entries(RESOURCE_FUNCTIONS).map(
    ([name, kind]) => `export const ${name} = (options) => ({ kind: ${JSON.stringify(kind)}, ...options });`,
  ),
].join('\n');
const SEEN = Symbol('resolved once');

/**
 * Bundles a configuration with the local files it imports. Packages stay outside, but for those that are linked from
 * the same repository: they are edited like local files.
 *
 * CommonJS first: it is evaluated without leaving a module in Node's cache, so reloads do not leak. Top-level await
 * needs ES modules.
 *
 * MESH-C002: syntax error. MESH-C010: a file or package that is not there.
 */
export async function bundleConfig(file: string, inputs: BundleInputs): Promise<Result<Bundle>> {
  const first = await bundleAs('cjs', file, inputs);
  if (first.ok || !first.messages.some(({ text }) => text.startsWith('Top-level await')))
    return finished(first, file, inputs);
  return finished(await bundleAs('esm', file, inputs), file, inputs);
}

type Attempt = { ok: true; bundle: Bundle } | { ok: false; messages: readonly Message[] };

function finished(attempt: Attempt, file: string, inputs: BundleInputs): Result<Bundle> {
  if (attempt.ok) return ok(attempt.bundle);
  const directory = path.dirname(file);
  for (const message of attempt.messages) noteMissing(message, directory, inputs);
  return fail(...attempt.messages.map((message) => ({ file, ...problemOf(message, directory, file) })));
}

async function bundleAs(format: BundleFormat, file: string, inputs: BundleInputs): Promise<Attempt> {
  const directory = path.dirname(file);
  try {
    const result = await build({
      entryPoints: [file],
      absWorkingDir: directory,
      // Nothing is written; the name only says what the paths of the source map are relative to.
      outfile: path.join(directory, 'mesh.config.bundle.js'),
      write: false,
      bundle: true,
      platform: 'node',
      target: `node${process.versions.node}`,
      format,
      sourcemap: 'external',
      sourcesContent: false,
      logLevel: 'silent',
      // Files keep the paths by which the user knows them; linked packages are followed in `resolvePackage`.
      preserveSymlinks: true,
      define: PLACES,
      // A JSX or CommonJS file may still call `require`, which ES modules do not have.
      banner: format === 'esm' ? { js: requireFor(file) } : {},
      plugins: [localFiles(format, inputs)],
    });
    const text = (ending: string) => result.outputFiles?.find((output) => output.path.endsWith(ending))?.text ?? '';
    const warnings = result.warnings
      .filter(({ location }) => location !== null && !location.file.includes('node_modules'))
      .map((message) =>
        located(message, directory, problem('MESH-C011', { message: message.text, severity: 'warning' })),
      );
    return { ok: true, bundle: { format, code: text('.js'), map: text('.map'), warnings } };
  } catch (error) {
    const { errors } = error as BuildFailure;
    if (!Array.isArray(errors)) throw error;
    return { ok: false, messages: errors };
  }
}

const requireFor = (file: string): string =>
  `import { createRequire as __mesh_require } from 'node:module'; const require = __mesh_require(${JSON.stringify(file)});`;

function localFiles(format: BundleFormat, inputs: BundleInputs): Plugin {
  return {
    name: 'local-files',
    setup(bundling) {
      bundling.onResolve({ filter: /^localmesh$/ }, () => ({
        path: LOCALMESH,
        namespace: LOCALMESH,
        sideEffects: false,
      }));
      // The configuration works without a local install of the package; its types are only for the editor.
      bundling.onLoad({ filter: /.*/, namespace: LOCALMESH }, () => ({
        contents: PUBLIC_MODULE,
      }));
      bundling.onResolve({ filter: /^[^./\\]/ }, async (args) => {
        if (args.kind === 'entry-point' || args.pluginData === SEEN) return undefined;
        if (isBuiltin(args.path)) return { path: args.path, external: true };
        return await resolvePackage(bundling, format, args.path, args);
      });
      bundling.onResolve({ filter: /^mesh-place:/ }, (args) => ({
        path: args.path.slice(PLACE.length + 1),
        namespace: PLACE,
        sideEffects: false,
      }));
      bundling.onLoad({ filter: /.*/, namespace: PLACE }, ({ path: file }) => ({
        contents: `export const url = ${JSON.stringify(pathToFileURL(file).href)}, filename = ${JSON.stringify(file)}, dirname = ${JSON.stringify(path.dirname(file))};`,
      }));
      bundling.onLoad({ filter: SOURCES, namespace: 'file' }, async ({ path: file }) => {
        let text: string;
        try {
          text = await readFile(file, 'utf8');
        } catch (error) {
          inputs.missing.add(file);
          return { errors: [{ text: `Could not read ${file}: ${(error as Error).message}` }] };
        }
        inputs.files.set(file, text);
        return { contents: withPlaces(file, text), loader: LOADERS[path.extname(file)] };
      });
    },
  };
}

/** An import that is hoisted may stand at the end, where it moves no line. */
function withPlaces(file: string, text: string): string {
  if (!SCRIPT.test(file) || /\.c[jt]s$/.test(file) || !MENTIONS_PLACE.test(text)) return text;
  const names = 'url as __mesh_url, filename as __mesh_filename, dirname as __mesh_dirname';
  return `${text}\nimport { ${names} } from ${JSON.stringify(`${PLACE}:${file}`)};`;
}

type ResolveArguments = Parameters<Parameters<PluginBuild['onResolve']>[1]>[0];

async function resolvePackage(bundling: PluginBuild, format: BundleFormat, name: string, args: ResolveArguments) {
  const { kind, importer, resolveDir, with: attributes } = args;
  const found = await bundling.resolve(name, { kind, importer, resolveDir, with: attributes, pluginData: SEEN });
  // Not there: esbuild's own resolution fails in the same way, and its message has the position.
  if (found.errors.length > 0) return undefined;
  if (found.external || found.namespace !== 'file') return { ...found, errors: [], warnings: [] };
  const real = realpathSync(found.path);
  const installed = real.split(path.sep).includes('node_modules');
  if (!installed || !/\.(?:[cm]?js|node)$/.test(found.path)) {
    return { path: installed ? found.path : real };
  }
  if (format === 'esm' || kind === 'dynamic-import') return { path: pathToFileURL(found.path).href, external: true };
  return { path: requirePath(name, importer) ?? found.path, external: true };
}

/** `require` may have another file for a package than `import`, the one that is meant for it. */
function requirePath(name: string, importer: string): string | null {
  try {
    return createRequire(importer).resolve(name);
  } catch {
    return null;
  }
}

function problemOf(message: Message, directory: string, file: string): Problem {
  const { text } = message;
  if (text === `Could not resolve ${JSON.stringify(file)}`) {
    const hint = 'put it back; a mesh that runs keeps its last good configuration';
    return problem('MESH-C010', { message: `${path.basename(file)} is not there`, hint });
  }
  const unresolved = /^Could not resolve "(.*)"/.exec(text);
  if (unresolved !== null) {
    const local = unresolved[1].startsWith('.') || path.isAbsolute(unresolved[1]);
    const hint = local ? 'check the spelling of the import' : 'install it with `npm install`, or check the spelling';
    const what = local ? `the file '${unresolved[1]}' is not there` : `the package '${unresolved[1]}' is not installed`;
    return located(message, directory, problem('MESH-C010', { message: what, hint }));
  }
  if (
    /^(?:Could not read|No loader is configured|No matching export|Import ".*" will always be undefined)/.test(text)
  ) {
    return located(message, directory, problem('MESH-C010', { message: text }));
  }
  return located(message, directory, problem('MESH-C002', { message: text }));
}

/** esbuild counts lines from 1, and columns from 0 in bytes. */
function located({ location }: Message, directory: string, found: Problem): Problem {
  if (location === null || (location.namespace !== '' && location.namespace !== 'file')) return found;
  const before = Buffer.from(location.lineText).subarray(0, location.column).toString('utf8');
  return { ...found, file: path.resolve(directory, location.file), line: location.line, column: before.length + 1 };
}

function noteMissing({ text, location }: Message, directory: string, inputs: BundleInputs): void {
  const specifier = /^Could not resolve "(.*)"/.exec(text)?.[1];
  if (specifier === undefined || !/^\.|^[/\\]/.test(specifier)) return;
  const from = location === null ? directory : path.dirname(path.resolve(directory, location.file));
  const target = path.resolve(from, specifier);
  for (const ending of GUESSES) inputs.missing.add(target + ending);
  // TypeScript lets an import say `.js` for what is a `.ts` file.
  if (/\.[cm]?js$/.test(target)) inputs.missing.add(target.replace(/js$/, 'ts'));
}
