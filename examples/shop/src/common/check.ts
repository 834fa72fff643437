import * as v from 'valibot';
import { fail, ok, type Result } from './result.ts';

/** Checks input from outside; the error names each field that is wrong. */
export function check<S extends v.GenericSchema>(schema: S, input: unknown): Result<v.InferOutput<S>> {
  const parsed = v.safeParse(schema, input);
  if (parsed.success) return ok(parsed.output);
  return fail(parsed.issues.map((issue) => `${v.getDotPath(issue) ?? 'body'}: ${issue.message}`).join('; '));
}
