import { explain } from '../../model/errors.ts';
import { ok, type Problem, type Result } from '../../model/result.ts';
import { loadOnce } from './load-once.ts';
import { placeOf, renderProblem } from './render-problems.ts';
import type { Style } from './style.ts';

export interface Explanation {
  code: string;
  title: string;
  explanation: string;
}

/** @returns MESH-U104 for a code that does not exist. */
export function explainCode(code: string): Result<Explanation & { text: string }> {
  const found = explain(code);
  if (!found.ok) return found;
  const { title, explanation } = found.value;
  return ok({ code: found.value.code, title, explanation, text: `${found.value.code}: ${title}\n\n${explanation}` });
}

export interface ValidationReport {
  /** No problem is an error; warnings are allowed. */
  valid: boolean;
  file: string;
  problems: readonly Problem[];
}

export async function validateConfig(file: string): Promise<ValidationReport> {
  const loaded = await loadOnce(file);
  const problems = loaded.ok ? (loaded.warnings ?? []) : loaded.problems;
  return { valid: problems.every(({ severity }) => severity === 'warning'), file, problems };
}

/** All problems in the order of the file, then how many there are. */
export function renderReport({ file, problems }: ValidationReport, style: Style, cwd: string): string[] {
  const errors = problems.filter(({ severity }) => severity !== 'warning').length;
  const warnings = problems.length - errors;
  const ordered = [...problems].sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
  const name = placeOf({ code: '', message: '', file }, cwd);
  const count = (number: number, what: string) => `${number} ${what}${number === 1 ? '' : 's'}`;
  const verdict =
    errors > 0
      ? style.red(`${name}: ${count(errors, 'error')}${warnings > 0 ? `, ${count(warnings, 'warning')}` : ''}`)
      : style.green(`${name} is valid${warnings > 0 ? `, with ${count(warnings, 'warning')}` : ''}`);
  const lines = ordered.flatMap((problem) => [...renderProblem(problem, style, cwd), '']);
  const explained = errors > 0 ? [style.dim('`mesh validate --explain CODE` tells more about a code')] : [];
  return [...lines, verdict, ...explained];
}
