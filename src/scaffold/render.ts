import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { problem } from '../model/errors.ts';
import { fail, ok, type Result } from '../model/result.ts';
import { applies, type Template, type TemplateParts } from './manifest.ts';
import { collisionIn, type Names } from './names.ts';
import { mergePackages } from './package-json.ts';

export interface RenderedFile {
  /** Relative to the project, with forward slashes. */
  readonly path: string;
  readonly content: Buffer;
  readonly executable: boolean;
}

/** Made by tools in a checkout of the templates, or of no use to anybody else. */
const LEFT_OUT = /^(?:node_modules|dist|\.venv|__pycache__|\.pytest_cache|\.mypy_cache|package-lock\.json|\.DS_Store)$/;
const CODE = /\.(?:[cm]?[jt]sx?|proto|py|go)$/;
const SCRIPT = /\.[cm]?[jt]sx?$/;
/** Where modules from outside the project go: beside the code that uses them, or the tests where only those do. */
const sharedFolder = (importer: string): string => (importer.startsWith('test/') ? 'test/shared' : 'src/shared');
/** The module named in `from '...'`, `import '...'` and `import('...')`. */
const MODULE = /(\bfrom\s*|\bimport\s*\(?\s*)(['"])(\.{1,2}\/[^'"\n]+)\2/g;

/**
 * The files of the layers that apply, with names substituted.
 * @returns MESH-N155 if two identifiers would become one, MESH-N159 if a file of the template is missing
 */
export function renderFiles(
  template: Template,
  parts: TemplateParts,
  options: Readonly<Record<string, string>>,
  names: Names,
): Result<RenderedFile[]> {
  const rendered = new Map<string, RenderedFile>();
  const collisions: string[] = [];
  const put = (file: RenderedFile): void => {
    const before = rendered.get(file.path);
    const merged =
      before !== undefined && file.path === 'package.json'
        ? { ...file, content: Buffer.from(mergePackages(before.content.toString(), file.content.toString(), 'later')) }
        : file;
    rendered.set(file.path, merged);
  };
  try {
    for (const layer of parts.layers) {
      if (!applies(layer.when, options)) continue;
      const root = path.resolve(template.directory, layer.from);
      const outside = new Map<string, string>();
      for (const file of filesBelow(root)) put(renderFile(root, file, names, outside, collisions));
      // What is imported from outside may import more from there: the map grows while it is walked.
      for (const [file, target] of outside) put(renderShared(file, target, names, outside, collisions));
    }
  } catch (error) {
    const { message } = error as Error;
    return fail(
      problem('MESH-N159', { message: `template ${template.name}: ${message}`, hint: 'install localmesh again' }),
    );
  }
  if (collisions.length > 0) {
    return fail(
      problem('MESH-N155', {
        message: `the template ${template.name} already uses the name \`${collisions[0]}\` for something else`,
        hint: template.manifest.entity
          ? `choose another name, or another word for what it is about: \`--entity NAME\` (now ${names.entity})`
          : 'choose another name',
      }),
    );
  }
  return ok([...rendered.values()].sort((a, b) => (a.path < b.path ? -1 : 1)));
}

function filesBelow(root: string, below = ''): string[] {
  return readdirSync(path.join(root, below), { withFileTypes: true }).flatMap((entry) => {
    if (LEFT_OUT.test(entry.name)) return [];
    const file = below === '' ? entry.name : `${below}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(root, file) : [file];
  });
}

function renderFile(
  root: string,
  file: string,
  names: Names,
  outside: Map<string, string>,
  collisions: string[],
): RenderedFile {
  const source = path.join(root, file);
  const content = readFileSync(source);
  const executable = (statSync(source).mode & 0o100) !== 0;
  const target = names.substitute(file.replace(/(^|\/)_gitignore$/, '$1.gitignore'));
  if (content.includes(0)) return { path: target, content, executable };
  const text = withModules(content.toString(), file, (name) => {
    const module = path.resolve(path.dirname(source), name);
    return isBelow(root, module) ? null : relativeModule(file, sharedPath(module, file, outside));
  });
  return { path: target, content: Buffer.from(substituted(text, file, names, collisions)), executable };
}

function renderShared(
  source: string,
  target: string,
  names: Names,
  outside: Map<string, string>,
  collisions: string[],
): RenderedFile {
  const text = withModules(readFileSync(source, 'utf8'), target, (name) =>
    relativeModule(target, sharedPath(path.resolve(path.dirname(source), name), target, outside)),
  );
  return {
    path: names.substitute(target),
    content: Buffer.from(substituted(text, target, names, collisions)),
    executable: false,
  };
}

function sharedPath(module: string, importer: string, outside: Map<string, string>): string {
  const known = outside.get(module);
  if (known !== undefined) return known;
  const target = `${sharedFolder(importer)}/${path.basename(module)}`;
  if ([...outside.values()].includes(target)) throw new Error(`two modules would be ${target}`);
  outside.set(module, target);
  return target;
}

/** With the modules replaced for which `replace` knows another name. */
function withModules(text: string, file: string, replace: (name: string) => string | null): string {
  if (!SCRIPT.test(file)) return text;
  return text.replaceAll(MODULE, (whole, before: string, quote: string, name: string) => {
    const replaced = replace(name);
    return replaced === null ? whole : `${before}${quote}${replaced}${quote}`;
  });
}

function substituted(text: string, file: string, names: Names, collisions: string[]): string {
  if (CODE.test(file)) {
    const collision = collisionIn(text, names);
    if (collision !== undefined) collisions.push(collision);
  }
  return names.substitute(text);
}

function relativeModule(from: string, to: string): string {
  const relative = path.posix.relative(path.posix.dirname(from), to);
  return relative.startsWith('.') ? relative : `./${relative}`;
}

export function isBelow(directory: string, file: string): boolean {
  const relative = path.relative(directory, file);
  return relative !== '' && relative !== '..' && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
}
