/**
 * Builds dist/: the CLI as one chunk for each command, the processes as one file each, the public module with its
 * types, and the manifest that saves oclif from loading every command at each start. `npm ci` runs it as `prepare`,
 * and so does the first `npx mesh`: nothing is done if nothing changed (`--force`: it is).
 *
 * `--strict` (and CI=true): everything must be there and build, and nothing of an earlier build is left. Otherwise what
 * does not build is reported and left out, so that one half-written module does not stop work on the others.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';

const root = path.join(import.meta.dirname, '..');
const dist = path.join(root, 'dist');
/** Below dist/, so that it is ignored by git and is an ES module by the package's type. */
const staging = path.join(dist, `.staging-${process.pid}`);
const strict = process.argv.includes('--strict') || process.env.CI === 'true';
let complete = true;
const pjson = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));

/** CommonJS packages inside the bundle expect these. */
const COMMONJS_GLOBALS = [
  "import { createRequire as __createRequire } from 'node:module';",
  "import { fileURLToPath as __fileURLToPath } from 'node:url';",
  'const require = __createRequire(import.meta.url);',
  'const __filename = __fileURLToPath(import.meta.url);',
  "const __dirname = __fileURLToPath(new URL('.', import.meta.url));",
].join('\n');

/** @type {import('esbuild').BuildOptions} */
const common = {
  absWorkingDir: root,
  outdir: staging,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  jsx: 'automatic',
  // Names stay readable in the stacks that users report.
  minifyWhitespace: true,
  minifySyntax: true,
  keepNames: false,
  legalComments: 'none',
  banner: { js: COMMONJS_GLOBALS },
  define: { 'process.env.NODE_ENV': '"production"', 'process.env.DEV': '"false"' },
  external: ['esbuild', 'fsevents', 'typescript', 'ts-node', 'tsx'],
  alias: { 'react-devtools-core': './scripts/stubs.js' },
  logLevel: strict ? 'warning' : 'error',
  plugins: strict ? [] : [missingModules()],
};

/** A `mesh up` in the foreground may load a chunk of the build that it was started from so long. */
const CHUNK_LIFE_MS = 24 * 3_600_000;
/** Digest of what the last build was made from. */
const inputsFile = path.join(dist, 'inputs');
const inputs = digestOfInputs();
if (!process.argv.includes('--force') && existsSync(inputsFile) && readFileSync(inputsFile, 'utf8') === inputs) {
  process.exit(0);
}

try {
  const commands = Object.fromEntries(
    readdirSync(path.join(root, 'src/commands'), { recursive: true })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => [`commands/${file.replaceAll(path.sep, '/').slice(0, -3)}`, `src/commands/${file}`]),
  );
  await Promise.all([
    build({
      ...common,
      entryPoints: present({ run: 'src/runtime/client/main.ts', ...commands }),
      splitting: true,
      chunkNames: 'chunks/[name]-[hash]',
    }).catch(giveUpOn('the CLI')),
    ...Object.entries(
      present({
        daemon: 'src/runtime/daemon-process.ts',
        'data-plane': 'src/proxy/data-plane-process.ts',
        'config-loader': 'src/runtime/config/loader-process.ts',
        migrate: 'src/runtime/resources/migrate-process.ts',
      }),
    ).map(([name, file]) => build({ ...common, entryPoints: { [name]: file } }).catch(giveUpOn(file))),
    build({ ...common, banner: {}, entryPoints: present({ index: 'src/index.ts' }) }),
  ]);
  if (existsSync(path.join(staging, 'run.js'))) await writeManifest();
  execFileSync(
    process.execPath,
    [typescript(), '--project', 'scripts/tsconfig.types.json', '--outDir', path.join(staging, 'types')],
    { cwd: root, stdio: 'inherit' },
  );
  readableTypes(path.join(staging, 'types'));
  publish();
  if (complete) writeFileSync(inputsFile, inputs);
} finally {
  rmSync(staging, { recursive: true, force: true });
}

/** Only a command that needs the missing module fails, when it is run. */
function missingModules() {
  return {
    name: 'missing-modules',
    setup(builder) {
      builder.onResolve({ filter: /^\.{1,2}\/.*\.tsx?$/ }, ({ path: name, resolveDir }) => {
        if (existsSync(path.join(resolveDir, name))) return undefined;
        complete = false;
        process.stderr.write(`missing: ${path.relative(root, path.join(resolveDir, name))}\n`);
        return { path: name, external: true };
      });
    },
  };
}

function giveUpOn(what) {
  return (error) => {
    if (strict) throw error;
    complete = false;
    process.stderr.write(`not built: ${what}\n`);
  };
}

/**
 * File by file, each at once: a `mesh` that runs or starts meanwhile always finds a whole module. Chunks carry their
 * hash, so those of a running one stay what they were; they go when nobody can need them any more.
 */
function publish() {
  const built = readdirSync(staging, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(staging, path.join(entry.parentPath, entry.name)));
  const order = (file) => (file.startsWith('chunks') ? 0 : 1);
  for (const file of built.sort((a, b) => order(a) - order(b))) {
    mkdirSync(path.dirname(path.join(dist, file)), { recursive: true });
    renameSync(path.join(staging, file), path.join(dist, file));
  }
  // What could not be built stays as it was.
  if (!complete) return;
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    const name = path.relative(dist, file);
    if (!entry.isFile() || built.includes(name) || name.startsWith('.staging-')) continue;
    const age = Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    if (strict || !name.startsWith('chunks') || age > CHUNK_LIFE_MS) rmSync(file, { force: true });
  }
}

/** @param {Record<string, string>} entries */
function present(entries) {
  const missing = Object.values(entries).filter((file) => !existsSync(path.join(root, file)));
  if (missing.length > 0) complete = false;
  for (const file of missing) process.stderr.write(`${strict ? 'error' : 'skipped'}: there is no ${file}\n`);
  if (strict && missing.length > 0) throw new Error('the build is not complete');
  return Object.fromEntries(Object.entries(entries).filter(([, file]) => !missing.includes(file)));
}

/** What oclif reads instead of the commands themselves, to list, check and document them. */
async function writeManifest() {
  const { Config } = await import('@oclif/core');
  const config = await Config.load({
    root: staging,
    pjson: { ...pjson, oclif: { ...pjson.oclif, commands: './commands' } },
  });
  const { manifest } = config.plugins.get(pjson.name);
  writeFileSync(path.join(staging, 'oclif.manifest.json'), JSON.stringify(manifest));
}

/** Declarations keep the `.ts` of their imports, which only newer compilers resolve. */
function readableTypes(directory) {
  for (const file of readdirSync(directory, { recursive: true })) {
    const full = path.join(directory, file);
    if (!file.endsWith('.d.ts')) continue;
    writeFileSync(full, readFileSync(full, 'utf8').replaceAll(/( from '\.[^']*)\.ts(')/g, '$1.js$2'));
  }
}

function digestOfInputs() {
  const digest = createHash('sha256').update(process.version);
  const sources = readdirSync(path.join(root, 'src'), { recursive: true }).filter((file) => /\.[jt]sx?$/.test(file));
  const files = [
    ...sources.map((file) => path.join('src', file)).sort(),
    ...['package.json', 'package-lock.json', 'tsconfig.json', 'scripts/build.js', 'scripts/stubs.js'],
  ];
  for (const file of files)
    digest
      .update(`${file}\0`)
      .update(readFileSync(path.join(root, file)))
      .update('\0');
  return digest.digest('hex');
}

function typescript() {
  const directory = path.join(root, 'node_modules/typescript');
  const { bin } = JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8'));
  return path.join(directory, bin.tsc);
}
