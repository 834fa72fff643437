import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as v from 'valibot';
import { problem } from '../model/errors.ts';
import { fail, ok, type Result } from '../model/result.ts';
import { ManifestSchema, type Template } from './manifest.ts';
import { didYouMean } from './names.ts';

const MANIFEST = 'template.json';

/** The folder with the templates: in the package, wherever in it the code that asks is. */
export function templatesDirectory(from: string = import.meta.dirname): string {
  for (let directory = from; ; directory = path.dirname(directory)) {
    const candidate = path.join(directory, 'templates');
    if (existsSync(path.join(candidate, 'shared')) && existsSync(path.join(directory, 'package.json')))
      return candidate;
    if (path.dirname(directory) === directory) throw new Error(`no templates beside or above ${from}`);
  }
}

export function templateNames(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(path.join(directory, entry.name, MANIFEST)))
    .map(({ name }) => name)
    .sort();
}

/** @returns MESH-N150 for a name there is not, MESH-N159 for a template that cannot be read */
export function findTemplate(directory: string, name: string): Result<Template> {
  const names = templateNames(directory);
  if (!names.includes(name)) {
    return fail(
      problem('MESH-N150', {
        message: `there is no template ${JSON.stringify(name)}`,
        hint: `${didYouMean(name, names)}there is: ${names.join(', ')}`,
      }),
    );
  }
  const file = path.join(directory, name, MANIFEST);
  try {
    const read = v.safeParse(ManifestSchema, JSON.parse(readFileSync(file, 'utf8')));
    if (read.success) return ok({ name, directory: path.join(directory, name), manifest: read.output });
    const [issue] = read.issues;
    return broken(file, `${v.getDotPath(issue) ?? ''}: ${issue.message}`);
  } catch (error) {
    return broken(file, (error as Error).message);
  }
}

export function allTemplates(directory: string): Result<Template[]> {
  const found: Template[] = [];
  for (const name of templateNames(directory)) {
    const template = findTemplate(directory, name);
    if (!template.ok) return template;
    found.push(template.value);
  }
  return ok(found);
}

function broken(file: string, reason: string) {
  return fail({ ...problem('MESH-N159', { message: reason, hint: 'install localmesh again' }), file });
}
