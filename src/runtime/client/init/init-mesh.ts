import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fail, ok, type Result } from '../../../model/result.ts';
import { CONFIG_NAMES } from '../../config/find-config.ts';
import { draftFromCompose } from './compose.ts';
import { type Draft, exampleDraft, renderDraft, toName } from './draft.ts';
import { draftFromProcfile } from './procfile.ts';
import { draftFromWorkspaces } from './workspaces.ts';

type Source = 'compose' | 'procfile' | 'workspaces' | 'nothing';

export interface Written {
  file: string;
  source: Source;
  services: string[];
  notes: string[];
}

const COMPOSE_FILES = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml'];
/** Most telling first: a compose file knows ports and dependencies, a Procfile commands, workspaces only scripts. */
const SOURCES: readonly Source[] = ['compose', 'procfile', 'workspaces', 'nothing'];

/**
 * Writes the first configuration of a directory.
 * @returns MESH-U106 if there is one already, MESH-C010 if the source named or found cannot be read.
 */
export async function initMesh(
  target: string,
  options: { from?: string; force: boolean },
  env: NodeJS.ProcessEnv = process.env,
): Promise<Result<Written>> {
  const directory = path.resolve(target);
  const file = path.join(directory, CONFIG_NAMES[0]);
  if (existsSync(file) && !options.force) {
    return fail({
      code: 'MESH-U106',
      message: `${file} is there already`,
      hint: 'replace it with `--force`, or check it with `mesh validate`',
    });
  }
  try {
    mkdirSync(directory, { recursive: true });
    const name = toName(path.basename(realpathSync(directory)), 'mesh');
    const wanted = options.from as Source | undefined;
    for (const source of wanted === undefined ? SOURCES : [wanted]) {
      const draft = await draftFrom(source, directory, name, env);
      if (!draft.ok) return draft;
      if (draft.value === null) continue;
      writeFileSync(file, renderDraft(draft.value), { flag: options.force ? 'w' : 'wx' });
      return ok({
        file,
        source,
        services: Object.keys(draft.value.config.services),
        notes: notesOn(source, draft.value),
      });
    }
  } catch (error) {
    return fail({
      code: 'MESH-C010',
      message: `cannot write ${file}: ${(error as Error).message}`,
      hint: 'the directory must exist or be creatable, and be writable by you',
    });
  }
  return fail({
    code: 'MESH-C010',
    message: `there is nothing in ${directory} to take the services from`,
    hint: 'leave out `--from` to start from what there is',
  });
}

async function draftFrom(
  source: Source,
  directory: string,
  name: string,
  env: NodeJS.ProcessEnv,
): Promise<Result<Draft | null>> {
  if (source === 'nothing') return ok(exampleDraft(name));
  if (source === 'workspaces') return ok(draftFromWorkspaces(directory, name));
  if (source === 'procfile') {
    const procfile = path.join(directory, 'Procfile');
    return ok(existsSync(procfile) ? draftFromProcfile(readFileSync(procfile, 'utf8'), name) : null);
  }
  const compose = COMPOSE_FILES.map((candidate) => path.join(directory, candidate)).find(existsSync);
  return compose === undefined ? ok(null) : draftFromCompose(compose, name, env);
}

function notesOn(source: Source, { config, leftOut }: Draft): string[] {
  const names = Object.keys(config.services);
  if (source === 'nothing')
    return ['found no docker-compose.yml, Procfile or workspaces: this is an example to begin with'];
  const notes = [`took ${names.length} services from ${source}: ${names.join(', ')}`];
  if (leftOut.length > 0) notes.push(`left out ${leftOut.length}; the reasons are in the file`);
  return notes;
}
