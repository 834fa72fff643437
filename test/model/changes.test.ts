import { describe, expect, it } from 'vitest';
import { changedServices, type ServiceChanges } from '../../src/model/changes.ts';
import type { MeshConfig, ServiceConfig } from '../../src/model/config.ts';
import { resolveConfig } from '../../src/model/resolve.ts';
import type { ResolvedConfig } from '../../src/model/resolved.ts';

const SERVICES: Record<string, ServiceConfig> = {
  web: { command: 'x', dependsOn: ['orders', 'gateway'] },
  orders: { command: 'x', subsets: { stable: { env: { V: '1' } }, canary: { env: { V: '2' } } } },
  db: { external: 'tcp://127.0.0.1:5432' },
};

function resolved(services: Record<string, ServiceConfig>, over: Partial<MeshConfig> = {}): ResolvedConfig {
  const config: MeshConfig = { version: 1, name: 'shop', gateway: { http: 8080, routes: [] }, services, ...over };
  const result = resolveConfig(config, { baseDir: '/' });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}

const NOTHING: ServiceChanges = { added: [], removed: [], restart: [], restartSubsets: {}, rescale: [], updated: [] };
const saved = (services: Record<string, ServiceConfig>, over?: Partial<MeshConfig>) =>
  changedServices(resolved(SERVICES), resolved(services, over));
const orders = (over: ServiceConfig) => saved({ ...SERVICES, orders: { ...SERVICES.orders, ...over } });
const restarted = { ...NOTHING, restart: ['orders'], restartSubsets: { orders: ['stable', 'canary'] } };
const updated = { ...NOTHING, updated: ['orders'] };

describe('changed services', () => {
  it('are none where nothing changed', () => {
    expect(saved(structuredClone(SERVICES))).toEqual(NOTHING);
    expect(saved({ db: SERVICES.db, orders: SERVICES.orders, web: SERVICES.web })).toEqual(NOTHING);
  });

  it.each<[string, ServiceConfig]>([
    ['command', { command: 'y' }],
    ['form of the command', { command: ['x'] }],
    ['cwd', { cwd: 'sub' }],
    ['env', { env: { A: 'b' } }],
    ['envFile', { envFile: '.env' }],
    ['build', { build: 'make' }],
    ['dependencies', { dependsOn: ['db'] }],
  ])('restart with another %s', (_, over) => {
    expect(orders(over)).toEqual(restarted);
  });

  it.each<[string, ServiceConfig]>([
    ['readiness', { readiness: { http: '/up' } }],
    ['protocol', { protocol: 'grpc' }],
    ['routes', { routes: [{ timeouts: { request: '1s' } }] }],
    ['balancer', { loadBalancer: 'random' }],
    ['watched files', { watch: 'src' }],
    ['stop signal', { stop: { signal: 'SIGINT' } }],
    ['restart policy', { restart: { policy: 'always' } }],
  ])('are only updated with other %s', (_, over) => {
    expect(orders(over)).toEqual(updated);
  });

  it('are only updated when a condition changed', () => {
    expect(saved({ ...SERVICES, web: { command: 'x', dependsOn: { orders: 'started', gateway: 'ready' } } })).toEqual({
      ...NOTHING,
      updated: ['web'],
    });
  });

  it('restart with another port', () => {
    const one = resolved({ a: { command: 'x' } });
    expect(changedServices(one, resolved({ a: { command: 'x', port: 9000 } })).restart).toEqual(['a']);
  });

  it('restart one subset when only that one changed', () => {
    expect(orders({ subsets: { stable: { env: { V: '1' } }, canary: { env: { V: '3' } } } })).toEqual({
      ...NOTHING,
      restart: ['orders'],
      restartSubsets: { orders: ['canary'] },
    });
  });

  it('are rescaled by replicas and subsets, without a restart of the others', () => {
    expect(orders({ replicas: 2 })).toEqual({ ...NOTHING, rescale: ['orders'] });
    expect(orders({ subsets: { stable: { env: { V: '1' } } } })).toEqual({ ...NOTHING, rescale: ['orders'] });
    expect(orders({ replicas: 2, command: 'y' })).toEqual({ ...restarted, rescale: ['orders'] });
  });

  it('are added and removed, also when they become external', () => {
    const { db, ...rest } = SERVICES;
    expect(saved(rest)).toEqual({ ...NOTHING, removed: ['db'] });
    expect(saved({ ...SERVICES, more: { command: 'x' } })).toEqual({ ...NOTHING, added: ['more'] });
    expect(saved({ ...SERVICES, db: { command: 'postgres' } })).toEqual({ ...NOTHING, added: ['db'], removed: ['db'] });
    expect(saved({ ...SERVICES, db: { external: 'tcp://127.0.0.1:1' } })).toEqual({ ...NOTHING, updated: ['db'] });
    void db;
  });

  it('restart when the address of a dependency takes another form', () => {
    const tcp = saved({ ...SERVICES, orders: { ...SERVICES.orders, protocol: 'tcp' } });
    expect(tcp).toEqual({ ...NOTHING, restart: ['web'], restartSubsets: { web: ['default'] }, updated: ['orders'] });
    expect(saved(SERVICES, { gateway: { http: 8081, routes: [] } }).restart).toEqual(['web']);
    expect(saved(SERVICES, { gateway: { http: 8080, routes: [{ backends: [{ service: 'web' }] }] } })).toEqual(NOTHING);
  });
});
