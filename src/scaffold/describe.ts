import path from 'node:path';
import { type DiffLine, unifiedDiff } from './diff.ts';
import type { Template } from './manifest.ts';
import type { Plan } from './plan.ts';

/** Everything that the plan would change, as one diff; paths relative to `base`. */
export function diffOfPlan(plan: Plan, base: string): DiffLine[] {
  const files = plan.config === null ? plan.files : [...plan.files, plan.config];
  return files.flatMap(({ path: file, before, after }) => {
    const name = path.relative(base, file).replaceAll(path.sep, '/');
    if (after.includes(0)) return [{ kind: 'file', text: `Binary file ${name}` }];
    return unifiedDiff(name, before?.toString() ?? null, after.toString());
  });
}

/** What was done and what comes next, in lines. */
export function reportOf(plan: Plan, base: string, options: { installed: boolean }): string[] {
  const folder = path.relative(base, plan.directory) || '.';
  const lines = [`wrote ${plan.files.length} files to ${folder}`];
  if (plan.config !== null) {
    const added = [...plan.services, ...plan.resources].join(', ');
    lines.push(`added ${added} to ${path.relative(base, plan.config.path)}`);
  }
  const steps = options.installed ? [] : plan.install.map((argv) => `cd ${folder} && ${argv.join(' ')}`);
  const next = [
    ...steps,
    ...(plan.config === null ? [] : ['mesh up, unless it runs: then it has taken this up']),
    ...plan.next,
  ];
  if (next.length > 0) lines.push('next:', ...next.map((line) => `  ${line}`));
  return lines;
}

export function listOfTemplates(templates: readonly Template[]): string[] {
  const width = Math.max(...templates.map(({ name }) => name.length));
  return templates.flatMap(({ name, manifest }) => [
    `${name.padEnd(width)}  ${manifest.summary}`,
    ...Object.entries(manifest.options).map(
      ([option, { choices, default: preset }]) =>
        `${' '.repeat(width)}    --${option} ${choices.map((choice) => (choice === preset ? `${choice} (default)` : choice)).join(', ')}`,
    ),
  ]);
}

type Paint = (text: string) => string;

/** In the colours that people know from `git diff`. */
export function paintDiff(
  lines: readonly DiffLine[],
  paint: Readonly<Record<'bold' | 'red' | 'green' | 'cyan', Paint>>,
): string[] {
  const paints: Record<DiffLine['kind'], Paint> = {
    file: paint.bold,
    place: paint.cyan,
    kept: (text) => text,
    added: paint.green,
    removed: paint.red,
  };
  return lines.map(({ kind, text }) => paints[kind](text));
}

/** For programs. */
export function planDocument(plan: Plan, diff: readonly DiffLine[] | null): object {
  const { directory, services, resources, unregistered } = plan;
  return {
    ok: unregistered === null,
    directory,
    files: plan.files.map(({ path: file, before }) => ({ path: file, replaced: before !== null })),
    services,
    resources,
    registered: unregistered === null,
    ...(unregistered === null ? {} : { problems: [unregistered] }),
    ...(diff === null ? {} : { diff: diff.map(({ text }) => text).join('\n') }),
  };
}

export const listDocument = (templates: readonly Template[]): object[] =>
  templates.map(({ name, manifest: { summary, options } }) => ({ name, summary, options }));
