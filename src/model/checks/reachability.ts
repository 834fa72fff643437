import type { GatewayRouteConfig, RouteConfig } from '../config.ts';
import { problem } from '../errors.ts';
import { type Covered, coveredAlternatives } from '../route-coverage.ts';
import { alternatives, type RouteConditions } from '../route-order.ts';
import { type CheckContext, inWords, isTask, isTcp } from './context.ts';

/** Routes, and matches of routes, that no request gets to. */
export function checkReachability(context: CheckContext): void {
  for (const [name, service] of Object.entries(context.config.services)) {
    if (isTask(service) || isTcp(service)) continue;
    checkTable(context, `services.${name}.routes`, service.routes ?? []);
  }
  checkTable(context, 'gateway.routes', context.config.gateway?.routes ?? []);
}

function checkTable(context: CheckContext, path: string, routes: readonly (RouteConfig | GatewayRouteConfig)[]): void {
  if (routes.length === 0) return;
  // What broke may have been the very condition that lets others have their requests.
  const anyBroken = context.isBroken(path);
  const judged = routes.map((route, i): RouteConditions | undefined =>
    anyBroken && (context.isBroken(`${path}[${i}].matches`) || context.isBroken(`${path}[${i}].hosts`))
      ? undefined
      : route,
  );
  const ordered = alternatives(judged);
  const covered = coveredAlternatives(ordered);
  if (covered.length === 0) return;

  const total = countByMatch(ordered);
  const lost = countByMatch(covered.map(({ alternative }) => alternative));
  for (const i of new Set(covered.map(({ alternative }) => alternative.route))) {
    const mine = covered.filter(({ alternative }) => alternative.route === i);
    const dead = [...new Set(mine.map(({ alternative }) => alternative.match))].filter(
      (match) => lost.get(`${i} ${match}`) === total.get(`${i} ${match}`),
    );
    if (dead.length === (routes[i].matches?.length ?? 1)) {
      context.report(
        problem('MESH-C302', {
          path: `${path}[${i}]`,
          message: `no request reaches this route: ${takers(mine, routes)} all that it matches`,
          hint: 'remove it, narrow the other, or put it first where both are equally specific',
        }),
      );
      continue;
    }
    for (const match of dead) {
      context.report(
        problem('MESH-C303', {
          path: `${path}[${i}].matches[${match}]`,
          message: `no request gets to this match: ${takers(
            mine.filter((c) => c.alternative.match === match),
            routes,
          )} all of them`,
          hint: 'remove it',
          severity: 'warning',
        }),
      );
    }
  }
}

function countByMatch(list: readonly { route: number; match: number }[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { route, match } of list) counts.set(`${route} ${match}`, (counts.get(`${route} ${match}`) ?? 0) + 1);
  return counts;
}

function takers(covered: readonly Covered[], routes: readonly RouteConfig[]): string {
  const names = [...new Set(covered.map(({ by }) => by.route))].map((i) =>
    routes[i].name === undefined ? `routes[${i}]` : `routes[${i}] (${routes[i].name})`,
  );
  return `${inWords(names)} ${names.length === 1 ? 'takes' : 'take'}`;
}
