import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MeshConfig, RetriesConfig, TimeoutsConfig } from '../../src/model/config.ts';
import { parsePath } from '../../src/model/config-path.ts';
import {
  type OriginPlace,
  parkingOrigin,
  policyLevels,
  retriesOrigin,
  timeoutOrigin,
} from '../../src/model/policy-origins.ts';
import { ms } from '../../src/model/precedence.ts';
import { resolveConfig } from '../../src/model/resolve.ts';
import type { ResolvedRoute } from '../../src/model/resolved.ts';

function resolved(config: MeshConfig) {
  const result = resolveConfig(structuredClone(config), { baseDir: '/' });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}

const at = (config: MeshConfig, { path }: OriginPlace): unknown =>
  parsePath(path).reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], config);

const duration = fc.constantFrom('1s', '2s', '3s', '4s');
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const timeouts = (connect: boolean): fc.Arbitrary<TimeoutsConfig | undefined> =>
  optional(
    fc.record(
      { request: duration, idle: duration, ...(connect ? { connect: duration } : {}) },
      { requiredKeys: [] },
    ) as fc.Arbitrary<TimeoutsConfig>,
  );
const retries: fc.Arbitrary<RetriesConfig | false | undefined> = optional(
  fc.oneof(
    fc.constant(false as const),
    fc.record(
      { attempts: fc.integer({ min: 1, max: 4 }), perTryTimeout: fc.constantFrom('100ms', '200ms') },
      { requiredKeys: ['attempts'] },
    ),
  ),
);
const parking = optional(fc.record({ timeout: duration }));
const subset = optional(fc.constant('v1'));

const config: fc.Arbitrary<MeshConfig> = fc
  .record({
    defaults: fc.record({ timeouts: timeouts(true), retries, parking }),
    service: fc.record({ timeouts: timeouts(true), retries, parking }),
    route: fc.record({ timeouts: timeouts(false), retries }),
    gateway: fc.record({ timeouts: timeouts(false), retries }),
    subset,
    other: fc.boolean(),
  })
  .map(({ defaults, service, route, gateway, subset, other }) => ({
    version: 1,
    name: 'shop',
    defaults,
    gateway: {
      http: 8080,
      routes: [
        {
          ...gateway,
          backends: [
            { service: 'orders', ...(subset === undefined ? {} : { subset }) },
            ...(other ? [{ service: 'web', ...(subset === undefined ? {} : { subset }) }] : []),
          ],
        },
      ],
    },
    services: {
      web: { command: 'x', subsets: { v1: {} } },
      orders: { command: 'x', subsets: { v1: {} }, ...service, routes: [{ name: 'r', ...route }] },
    },
  }));

describe('origins', () => {
  it('are where the value in force stands', () => {
    fc.assert(
      fc.property(config, (given) => {
        const { services, gateway } = resolved(given);
        const check = (route: ResolvedRoute, builtInIdleMs: number, builtInRetries: boolean) => {
          const levels = policyLevels(given, route.path);
          for (const [field, inForceMs, builtInMs] of [
            ['request', route.timeouts.requestMs, 0],
            ['idle', route.timeouts.idleMs, builtInIdleMs],
          ] as const) {
            const origin = timeoutOrigin(levels, field);
            expect(inForceMs).toBe(origin.path === '' ? builtInMs : ms(at(given, origin) as string));
          }
          const origin = retriesOrigin(levels);
          if (origin.path === '') expect(route.retries !== null).toBe(builtInRetries);
          else {
            const said = at(given, origin) as RetriesConfig | false;
            expect(route.retries?.attempts ?? false).toBe(said === false ? false : said.attempts);
          }
          if (route.retries === null) return;
          const perTry = retriesOrigin(levels, 'perTryTimeout');
          expect(route.retries.perTryTimeoutMs).toBe(perTry.path === '' ? 0 : ms(at(given, perTry) as string));
        };
        for (const service of [services.web, services.orders]) {
          check(service.routes[0], 3_600_000, true);
          const levels = policyLevels(given, `services.${service.name}`);
          const connect = timeoutOrigin(levels, 'connect');
          expect(service.connectTimeoutMs).toBe(connect.path === '' ? 5_000 : ms(at(given, connect) as string));
          const parked = parkingOrigin(levels);
          expect(service.parking.timeoutMs).toBe(parked.path === '' ? 10_000 : ms(at(given, parked) as string));
        }
        const direct = given.gateway!.routes[0].backends![0].subset !== undefined;
        check(gateway!.routes[0], direct ? 3_600_000 : 0, direct);
      }),
      { numRuns: 1_000 },
    );
  });

  it('name the level', () => {
    const given: MeshConfig = {
      version: 1,
      name: 'shop',
      defaults: { timeouts: { idle: '1s' } },
      services: {
        orders: {
          command: 'x',
          timeouts: { request: '2s' },
          routes: [{ timeouts: { request: '3s' } }, { matches: [{ path: { exact: '/x' } }] }],
        },
      },
    };
    const first = policyLevels(given, 'services.orders.routes[0]');
    const second = policyLevels(given, 'services.orders.routes[1]');
    expect(timeoutOrigin(first, 'request')).toEqual({
      level: 'route',
      path: 'services.orders.routes[0].timeouts.request',
    });
    expect(timeoutOrigin(second, 'request')).toEqual({ level: 'service', path: 'services.orders.timeouts.request' });
    expect(timeoutOrigin(second, 'idle')).toEqual({ level: 'defaults', path: 'defaults.timeouts.idle' });
    expect(timeoutOrigin(second, 'connect')).toEqual({ level: 'built-in', path: '' });
  });
});
