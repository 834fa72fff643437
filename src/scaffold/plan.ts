import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { problem } from '../model/errors.ts';
import { fail, ok, type Problem, type Result } from '../model/result.ts';
import { type ConfigAddition, configSnippet, editConfig, type ResourceCall } from './config-edit/edit-config.ts';
import { applies, type Template, type TemplateParts } from './manifest.ts';
import { checkName, createNames, didYouMean, type Names, singularOf } from './names.ts';
import { mergePackages } from './package-json.ts';
import { isBelow, type RenderedFile, renderFiles } from './render.ts';

export interface ScaffoldRequest {
  readonly template: Template;
  readonly name: string;
  /** Given ones only. */
  readonly options: Readonly<Record<string, string>>;
  readonly entity?: string;
  /** Folder to write into, absolute. */
  readonly into?: string;
  readonly force: boolean;
  readonly mesh: MeshOnDisk;
}

/** The configuration as it is: its text and what came of it. */
export interface MeshOnDisk {
  readonly configFile: string;
  readonly text: string;
  /** By name, with the working directory where the service has one. */
  readonly services: Readonly<Record<string, { readonly cwd?: string }>>;
  readonly resources: readonly string[];
}

export interface PlannedFile {
  /** Absolute. */
  readonly path: string;
  /** Null: it is new. */
  readonly before: Buffer | null;
  readonly after: Buffer;
  readonly executable: boolean;
}

export interface Plan {
  /** Absolute; the project's folder. */
  readonly directory: string;
  readonly isNew: boolean;
  readonly files: readonly PlannedFile[];
  /** Null where it stays as it is. */
  readonly config: PlannedFile | null;
  /** MESH-N156 with the lines to paste, where mesh.config.ts is left to the user. */
  readonly unregistered: Problem | null;
  readonly services: readonly string[];
  readonly resources: readonly string[];
  readonly install: readonly (readonly string[])[];
  readonly next: readonly string[];
}

/** What is asked for, as far as the template alone can tell. @returns MESH-N151, MESH-N154 */
export function checkRequest({
  template,
  name,
  options,
  entity,
}: Pick<ScaffoldRequest, 'template' | 'name' | 'options' | 'entity'>): Result<{
  entity: string;
  options: Record<string, string>;
}> {
  const named = checkName('service', name);
  if (!named.ok) return named;
  const { manifest } = template;
  if (entity !== undefined) {
    if (!manifest.entity) return noOption(template, 'entity');
    const checked = checkName('entity', entity, '--entity');
    if (!checked.ok) return checked;
  }
  const chosen = chosenOptions(template, options);
  if (!chosen.ok) return chosen;
  return ok({ entity: entity ?? (manifest.entity ? entityOf(name) : name), options: chosen.value });
}

/**
 * All that `mesh new` would do, as data. Reads the disk, changes nothing.
 * @returns MESH-N151 to MESH-N155, MESH-N159
 */
export function planScaffold(request: ScaffoldRequest): Result<Plan> {
  const { template, name, mesh } = request;
  const { manifest } = template;
  const checked = checkRequest(request);
  if (!checked.ok) return checked;
  const { entity, options } = checked.value;

  const exists = Object.hasOwn(mesh.services, name);
  if (exists && manifest.add === undefined) {
    return fail(
      problem('MESH-N152', {
        message: `the mesh has a service ${name} already`,
        hint: 'choose another name; `mesh ps` lists the services',
      }),
    );
  }
  const parts = exists ? manifest.add! : manifest;
  const names = createNames(name, entity);
  const rendered = renderFiles(template, parts, options, names);
  if (!rendered.ok) return rendered;

  const directory = exists ? folderOf(name, mesh) : (request.into ?? defaultFolder(name, mesh));
  const files = planFiles(directory, rendered.value, { adding: exists, force: request.force });
  if (!files.ok) return files;
  const addition = additionOf(parts, options, names, directory, mesh);
  const taken = Object.keys(addition.services).find((service) => Object.hasOwn(mesh.services, service));
  if (taken !== undefined) {
    return fail(
      problem('MESH-N152', { message: `the mesh has a service ${taken} already`, hint: 'choose another name' }),
    );
  }
  const edited = register(mesh, addition);
  if (!edited.ok && edited.problems[0].code !== 'MESH-N156') return edited;
  const shown = { into: path.relative(path.dirname(mesh.configFile), directory) || '.' };
  return ok({
    directory,
    isNew: !existsSync(directory),
    files: files.value,
    config: edited.ok ? edited.value : null,
    unregistered: edited.ok ? null : edited.problems[0],
    services: Object.keys(addition.services),
    resources: Object.keys(addition.resources),
    install: parts.install.flatMap((step) => {
      const { run, when } = 'run' in step ? step : { run: step, when: undefined };
      return applies(when, options) ? [run.map(names.substitute)] : [];
    }),
    next: parts.next.flatMap((line) => {
      const { text, when } = typeof line === 'string' ? { text: line, when: undefined } : line;
      return applies(when, options) ? [names.substitute(text).replaceAll('{folder}', shown.into)] : [];
    }),
  });
}

/** Something other than the service, so that the two have names of their own: orders has an order, billing a billing item. */
function entityOf(name: string): string {
  const singular = singularOf(name);
  return singular !== name && checkName('entity', singular).ok ? singular : `${singular}-item`;
}

function chosenOptions(
  { name, manifest }: Template,
  given: Readonly<Record<string, string>>,
): Result<Record<string, string>> {
  const chosen = Object.fromEntries(
    Object.entries(manifest.options).map(([option, { default: value }]) => [option, value]),
  );
  for (const [option, value] of Object.entries(given)) {
    const known = manifest.options[option];
    if (known === undefined) return noOption({ name, manifest }, option);
    if (!known.choices.includes(value)) {
      return fail(
        problem('MESH-N154', {
          message: `--${option} of ${name} cannot be ${JSON.stringify(value)}`,
          hint: `${didYouMean(value, known.choices)}it is one of: ${known.choices.join(', ')}`,
        }),
      );
    }
    chosen[option] = value;
  }
  return ok(chosen);
}

function noOption({ name, manifest }: Pick<Template, 'name' | 'manifest'>, option: string) {
  const known = [...Object.keys(manifest.options), ...(manifest.entity ? ['entity'] : [])];
  return fail(
    problem('MESH-N154', {
      message: `the template ${name} has no option --${option}`,
      hint: known.length === 0 ? 'it has none' : `it has: ${known.map((key) => `--${key}`).join(', ')}`,
    }),
  );
}

/** Beside the services that have a folder of their name each, otherwise `services/NAME`. */
function defaultFolder(name: string, mesh: MeshOnDisk): string {
  const base = path.dirname(mesh.configFile);
  const parents = Object.entries(mesh.services).flatMap(([service, { cwd }]) => {
    return cwd !== undefined && path.basename(cwd) === service ? [path.dirname(path.resolve(base, cwd))] : [];
  });
  const [first] = parents;
  const common = first !== undefined && parents.every((parent) => parent === first) && isBelow(base, first);
  return path.join(common ? first : path.join(base, 'services'), name);
}

function folderOf(name: string, mesh: MeshOnDisk): string {
  return path.resolve(path.dirname(mesh.configFile), mesh.services[name].cwd ?? '.');
}

function planFiles(
  directory: string,
  rendered: readonly RenderedFile[],
  { adding, force }: { adding: boolean; force: boolean },
): Result<PlannedFile[]> {
  const blocked = adding ? null : whatBlocks(directory, force);
  if (blocked !== null) return inTheWay(blocked);
  const clashes: string[] = [];
  const files = (adding ? numberMigrations(directory, rendered) : rendered).map((file): PlannedFile => {
    const target = path.join(directory, file.path);
    const before = existsSync(target) && statSync(target).isFile() ? readFileSync(target) : null;
    const { executable } = file;
    if (before === null) {
      if (existsSync(target)) clashes.push(target);
      return { path: target, before, after: file.content, executable };
    }
    if (adding && file.path === 'package.json') {
      const merged = mergePackages(before.toString(), file.content.toString(), 'first');
      return { path: target, before, after: Buffer.from(merged), executable };
    }
    if (!force && !before.equals(file.content)) clashes.push(target);
    return { path: target, before, after: file.content, executable };
  });
  return clashes.length > 0 ? inTheWay(clashes.join(', ')) : ok(files);
}

function whatBlocks(directory: string, force: boolean): string | null {
  for (let place = directory; ; place = path.dirname(place)) {
    const stats = statOf(place);
    if (stats !== undefined && !stats.isDirectory()) return place;
    if (stats !== undefined || path.dirname(place) === place) break;
  }
  if (!existsSync(directory) || force) return null;
  return readdirSync(directory).length === 0 ? null : directory;
}

/** Undefined also below something that is no folder. */
function statOf(place: string) {
  try {
    return statSync(place, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function inTheWay(what: string) {
  return fail(
    problem('MESH-N153', {
      message: `there already is ${what}`,
      hint: 'choose another folder with `--into DIR`; `--force` replaces files of the same name',
    }),
  );
}

/** `migrations/0001_x.sql` of an addition becomes the next of the project that it joins. */
function numberMigrations(directory: string, rendered: readonly RenderedFile[]): RenderedFile[] {
  const folder = path.join(directory, 'migrations');
  const there = existsSync(folder) ? readdirSync(folder) : [];
  let last = Math.max(0, ...there.map((file) => Number.parseInt(file, 10) || 0));
  return rendered.map((file) => {
    const [, rest] = /^migrations\/\d+(_.*\.sql)$/.exec(file.path) ?? [];
    if (rest === undefined) return file;
    const same = there.find((name) => name.replace(/^\d+/, '') === rest);
    return { ...file, path: `migrations/${same ?? `${String(++last).padStart(4, '0')}${rest}`}` };
  });
}

function additionOf(
  parts: TemplateParts,
  options: Readonly<Record<string, string>>,
  names: Names,
  directory: string,
  mesh: MeshOnDisk,
): ConfigAddition {
  const cwd = path.relative(path.dirname(mesh.configFile), directory).replaceAll(path.sep, '/') || '.';
  const resources: Record<string, ResourceCall> = {};
  for (const [sample, { call, arguments: values, when }] of Object.entries(parts.resources)) {
    const resource = names.substitute(sample);
    if (!applies(when, options) || mesh.resources.includes(resource)) continue;
    resources[resource] = { call, arguments: values.map((value) => substituteIn(value, names)) };
  }
  const services: Record<string, object> = {};
  for (const [sample, { when, ...service }] of Object.entries(parts.services)) {
    if (!applies(when, options)) continue;
    const { command, ...rest } = substituteIn(service, names) as { command?: unknown };
    services[names.substitute(sample)] = { command, cwd, ...rest };
  }
  return { resources, services };
}

function substituteIn(value: unknown, names: Names): unknown {
  if (typeof value === 'string') return names.substitute(value);
  if (Array.isArray(value)) return value.map((item) => substituteIn(item, names));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [names.substitute(key), substituteIn(item, names)]),
  );
}

function register(mesh: MeshOnDisk, addition: ConfigAddition): Result<PlannedFile | null> {
  if (configSnippet(addition) === '') return ok(null);
  const edited = editConfig(mesh.configFile, mesh.text, addition);
  if (!edited.ok) return edited;
  return ok({
    path: mesh.configFile,
    before: Buffer.from(mesh.text),
    after: Buffer.from(edited.value),
    executable: false,
  });
}
