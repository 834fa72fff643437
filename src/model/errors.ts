import { bodyCodes } from './codes/bodies.ts';
import { runtimeCodes, stateCodes } from './codes/daemon.ts';
import { explainCodes } from './codes/explain.ts';
import { fieldCodes } from './codes/fields.ts';
import { identityCodes } from './codes/identity.ts';
import { injectionCodes } from './codes/injection.ts';
import { injectionCommandCodes } from './codes/injection-command.ts';
import { loadingCodes } from './codes/loading.ts';
import { outboxCodes } from './codes/outbox.ts';
import { resourceCodes } from './codes/resources.ts';
import { routeCodes } from './codes/routes.ts';
import { sagaCodes } from './codes/saga.ts';
import { scaffoldCodes } from './codes/scaffold.ts';
import { serviceCodes } from './codes/services.ts';
import { telemetryCodes } from './codes/telemetry.ts';
import { transparentCodes } from './codes/transparent.ts';
import { networkCodes, processCodes, usageCodes } from './codes/workloads.ts';
import { formatPath, type PathSegment } from './config-path.ts';
import { suggest } from './nearest.ts';
import { fail, ok, type Problem, type Result } from './result.ts';

export interface CodeRow {
  /** A few words. */
  readonly title: string;
  /** A few lines: what it means, an example, how to put it right. */
  readonly explanation: string;
}

/**
 * Rows of one range. Ranges: C configuration (0xx loading, 1xx values, 2xx services, 3xx routes), R daemon, S state
 * directory, I identity, P processes, N network, U usage, T telemetry, D resources, O outboxes, J injections. A code keeps its meaning for ever; one that is no longer
 * reported is not given again.
 */
export type CodeTable<Range extends string> = Readonly<Record<`MESH-${Range}${number}`, CodeRow>>;

const TABLE = {
  ...loadingCodes,
  ...fieldCodes,
  ...serviceCodes,
  ...routeCodes,
  ...runtimeCodes,
  ...stateCodes,
  ...identityCodes,
  ...processCodes,
  ...networkCodes,
  ...injectionCommandCodes,
  ...resourceCodes,
  ...outboxCodes,
  ...scaffoldCodes,
  ...sagaCodes,
  ...telemetryCodes,
  ...usageCodes,
  ...explainCodes,
  ...transparentCodes,
  ...bodyCodes,
  ...injectionCodes,
};

export type Code = keyof typeof TABLE;

export interface ProblemDetails {
  /** What was found, in one sentence without a full stop. Default: the code's title. */
  readonly message?: string;
  readonly hint?: string;
  /** Where in the configuration, as text or as segments. */
  readonly path?: string | readonly PathSegment[];
  readonly severity?: 'error' | 'warning';
}

/** A problem with a code of the table. */
export function problem(code: Code, details: ProblemDetails = {}): Problem {
  const { path } = details;
  const made: Problem = { code, message: details.message ?? TABLE[code].title };
  if (details.hint !== undefined) made.hint = details.hint;
  if (path !== undefined) made.path = typeof path === 'string' ? path : formatPath(path);
  if (details.severity !== undefined) made.severity = details.severity;
  return made;
}

/** Every code, in order. */
export function codes(): Code[] {
  return (Object.keys(TABLE) as Code[]).sort();
}

/** What a code means. Case and the prefix `MESH-` do not matter. */
export function explain(code: string): Result<CodeRow & { code: Code }> {
  const upper = code.trim().toUpperCase();
  const full = upper.startsWith('MESH-') ? upper : `MESH-${upper}`;
  if (Object.hasOwn(TABLE, full)) return ok({ code: full as Code, ...TABLE[full as Code] });
  return fail(
    problem('MESH-U104', {
      message: `there is no code ${JSON.stringify(code)}`,
      hint: suggest(full, codes(), 'codes read like MESH-C101'),
    }),
  );
}
