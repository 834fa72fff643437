/** An expected failure: what a user can act on. Bugs are thrown instead. */
export interface Problem {
  /** Stable code, a key of the table in errors.ts, e.g. `MESH-C101`. */
  code: string;
  /** What was found, in one sentence without a full stop. */
  message: string;
  /** What to do about it. */
  hint?: string;
  /** Where in the configuration: `services.orders.routes[0].backends`. */
  path?: string;
  /** File, and 1-based line and column in it, where known. */
  file?: string;
  line?: number;
  column?: number;
  /** Warnings never stop anything. Default: error. */
  severity?: 'error' | 'warning';
}

export type Result<T> =
  | { ok: true; value: T /** What is doubtful about it, none of severity `error`. */; warnings?: readonly Problem[] }
  | { ok: false; problems: readonly Problem[] };

export const ok = <T>(value: T): Result<T> => ({ ok: true, value });

export const fail = (...problems: Problem[]): { ok: false; problems: readonly Problem[] } => ({ ok: false, problems });
