import path from 'node:path';
import type { Problem } from '../../model/result.ts';
import type { Style } from './style.ts';

/** A problem as people read it: what, where, what to do. */
export function renderProblem(problem: Problem, style: Style, cwd: string): string[] {
  const label = problem.severity === 'warning' ? style.yellow('warning') : style.red('error');
  const lines = [`${label}${style.dim(`[${problem.code}]`)} ${style.bold(problem.message)}`];
  const place = placeOf(problem, cwd);
  if (place !== '') lines.push(`  ${style.dim('at')}   ${style.cyan(place)}`);
  if (problem.hint !== undefined) {
    const [first, ...rest] = problem.hint.split('\n');
    lines.push(`  ${style.dim('hint')} ${first}`, ...rest.map((line) => `       ${line}`));
  }
  return lines;
}

/** `mesh.config.ts:12:7  services.web.dependsOn[0]` */
export function placeOf({ file, line, column, path: where }: Problem, cwd: string): string {
  let place = '';
  if (file !== undefined) {
    const relative = path.relative(cwd, file);
    place = !path.isAbsolute(file) || relative.startsWith('..') ? file : relative;
    if (line !== undefined) place += `:${line}${column === undefined ? '' : `:${column}`}`;
  }
  return [place, where].filter((part) => part !== undefined && part !== '').join('  ');
}
