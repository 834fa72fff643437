import { checkAccessLogs } from './access-log.ts';
import type { CheckContext } from './context.ts';
import { checkDependencies } from './dependencies.ts';
import { checkInstances } from './instances.ts';
import { checkKinds } from './kinds.ts';
import { checkPolicies } from './policies.ts';
import { checkPorts } from './ports.ts';
import { checkProbes } from './probes.ts';
import { checkReachability } from './reachability.ts';
import { checkRoutes } from './routes.ts';
import { checkSubsets } from './subsets.ts';

/** All of them, one line each. */
const CHECKS: readonly ((context: CheckContext) => void)[] = [
  checkKinds,
  checkInstances,
  checkPorts,
  checkDependencies,
  checkProbes,
  checkPolicies,
  checkRoutes,
  checkReachability,
  checkSubsets,
  checkAccessLogs,
];

export function runChecks(context: CheckContext): void {
  for (const check of CHECKS) check(context);
}
