import path from 'node:path';
import { problem } from '../model/errors.ts';
import { fail, ok, type Problem, type Result } from '../model/result.ts';
import { allTemplates, findTemplate, templatesDirectory } from './catalogue.ts';
import { createProject } from './create-project.ts';
import { diffOfPlan, reportOf } from './describe.ts';
import type { DiffLine } from './diff.ts';
import { checkRequest, type MeshOnDisk, type Plan, planScaffold } from './plan.ts';
import { askForProject, type Terminal } from './questions.ts';

/** What the user gave on the command line. */
export interface NewArguments {
  readonly template?: string;
  readonly name?: string;
  /** Options of templates that were given. */
  readonly options: Readonly<Record<string, string>>;
  readonly entity?: string;
  readonly into?: string;
  readonly force: boolean;
  readonly dryRun: boolean;
  readonly install: boolean;
}

/** The world around: the mesh, processes, the terminal. */
export interface NewPorts {
  readonly cwd: string;
  readMesh(): Promise<Result<MeshOnDisk>>;
  /** What would be wrong with mesh.config.ts as this text: beside the entries named, it must say what it said before. */
  checkText(
    mesh: MeshOnDisk,
    text: string,
    added: { services: readonly string[]; resources: readonly string[] },
  ): Promise<readonly Problem[]>;
  run(argv: readonly string[], cwd: string): Promise<{ code: number | null; output: string }>;
  /** Null where nobody can be asked. */
  readonly terminal: Terminal | null;
  progress(text: string): void;
  interrupted(): boolean;
}

export interface NewOutcome {
  readonly plan: Plan;
  /** With --dry-run, instead of doing it. */
  readonly diff: readonly DiffLine[] | null;
  readonly report: readonly string[];
}

/** `mesh new`. @returns null if the user left the questions */
export async function runNew(given: NewArguments, ports: NewPorts): Promise<Result<NewOutcome | null>> {
  const directory = templatesDirectory();
  const asked = await complete(given, directory, ports.terminal);
  if (!asked.ok) return asked;
  if (asked.value === null) return ok(null);
  const template = findTemplate(directory, asked.value.template);
  if (!template.ok) return template;
  const { name, options } = asked.value;
  const request = { template: template.value, name, options, entity: given.entity };
  const checked = checkRequest(request);
  if (!checked.ok) return checked;
  const mesh = await ports.readMesh();
  if (!mesh.ok) return mesh;
  const planned = planScaffold({
    ...request,
    into: given.into === undefined ? undefined : path.resolve(ports.cwd, given.into),
    force: given.force,
    mesh: mesh.value,
  });
  if (!planned.ok) return planned;
  const plan = planned.value;
  if (given.dryRun) return ok({ plan, diff: diffOfPlan(plan, ports.cwd), report: [] });
  const install = given.install && plan.install.length > 0;
  const created = await createProject(plan, {
    install,
    run: (argv, cwd) => {
      ports.progress(`${argv.join(' ')} ...`);
      return ports.run(argv, cwd);
    },
    check: (text) => ports.checkText(mesh.value, text, plan),
    interrupted: ports.interrupted,
  });
  if (!created.ok) return created;
  return ok({ plan, diff: null, report: reportOf(plan, ports.cwd, { installed: install }) });
}

async function complete(given: NewArguments, directory: string, terminal: Terminal | null) {
  const { template, name, options } = given;
  if (template !== undefined && name !== undefined) return ok({ template, name, options });
  if (template !== undefined) {
    const known = findTemplate(directory, template);
    if (!known.ok) return known;
  }
  if (terminal === null) {
    const missing = template === undefined ? 'the template and the name' : 'the name';
    return fail(
      problem('MESH-N160', {
        message: `${missing} of the new service must be given: there is no terminal to ask at`,
        hint: '`mesh new TEMPLATE NAME`; `mesh new --list` shows the templates',
      }),
    );
  }
  const templates = allTemplates(directory);
  if (!templates.ok) return templates;
  return ok(await askForProject(templates.value, given, terminal));
}
