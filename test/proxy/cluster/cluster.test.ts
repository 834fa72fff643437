import { describe, expect, it } from 'vitest';
import type { Cluster as ClusterSpec, Endpoint } from '../../../src/model/snapshot.ts';
import { Cluster } from '../../../src/proxy/cluster/cluster.ts';
import type { Exchange } from '../../../src/proxy/exchange.ts';
import { NO_KEY } from '../../../src/proxy/load-balancers/load-balancer.ts';
import type { UpstreamPool } from '../../../src/proxy/upstream.ts';

const endpoint = (id: string, part: Partial<Endpoint> = {}): Endpoint => ({
  id,
  subset: 'default',
  host: '127.0.0.1',
  port: 1,
  health: { host: '127.0.0.1', port: 2 },
  state: 'ready',
  weight: 1,
  ...part,
});

const spec = (endpoints: Endpoint[], part: Partial<ClusterSpec> = {}): ClusterSpec => ({
  service: 'app',
  protocol: 'http',
  spiffeId: 'spiffe://t.local/ns/default/sa/app',
  tls: false,
  host: null,
  loadBalancer: { kind: 'round-robin' },
  healthCheck: null,
  parking: { timeoutMs: 1_000, maxRequests: 2 },
  connectTimeoutMs: 1_000,
  subsets: ['default'],
  endpoints,
  ...part,
});

interface FakePool extends UpstreamPool {
  name: string;
  log: string[];
}

function setUp(initial: ClusterSpec) {
  const pools: FakePool[] = [];
  const released: Exchange[] = [];
  const cluster = new Cluster(
    initial,
    (_cluster, { spec: { id, port } }, identity) => {
      const log: string[] = [];
      const pool: FakePool = {
        name: `${id}:${port} as ${identity}`,
        log,
        acquire: () => {},
        cancel: () => {},
        drain: () => void log.push('drain'),
        destroy: () => void log.push('destroy'),
      };
      pools.push(pool);
      return pool;
    },
    () => 0,
    (x) => released.push(x),
  );
  const picks = (n: number, subset: string | null = null) =>
    Array.from({ length: n }, () => cluster.pick(subset, NO_KEY, null)?.spec.id ?? null);
  return { cluster, pools, released, picks };
}

const exchange = () => ({}) as Exchange;

describe('cluster', () => {
  it('picks only what is ready and healthy, of the subset asked for', () => {
    const { cluster, picks } = setUp(
      spec([
        endpoint('a'),
        endpoint('b', { subset: 'canary' }),
        endpoint('c', { state: 'starting' }),
        endpoint('d', { state: 'draining' }),
      ]),
    );
    expect(picks(4).sort()).toEqual(['a', 'a', 'b', 'b']);
    expect(picks(2, 'canary')).toEqual(['b', 'b']);
    expect(picks(1, 'nope')).toEqual([null]);
    cluster.setHealthy('a', false);
    expect(picks(2)).toEqual(['b', 'b']);
    expect(cluster.describe(null)).toBe(
      '1 of 4 failing its health check, 1 of 4 ready, 1 of 4 starting, 1 of 4 draining',
    );
    cluster.setHealthy('a', true);
    expect(new Set(picks(4))).toEqual(new Set(['a', 'b']));
  });

  it('keeps the connections and counts of what stays, and drains those of what went or moved', () => {
    const { cluster, pools } = setUp(spec([endpoint('a'), endpoint('b'), endpoint('c')]));
    const [a, b, c] = ['a', 'b', 'c'].map(() => cluster.pick(null, NO_KEY, null)!);
    for (const state of [a, b, c]) {
      state.started();
      cluster.pool(state, 'me');
    }
    const byName = (name: string) => pools.find((pool) => pool.name === name)!;
    cluster.reconcile(spec([endpoint('a', { weight: 5 }), endpoint('b', { port: 9 })]));
    expect(byName('a:1 as me').log).toEqual([]);
    expect(byName('b:1 as me').log).toEqual(['drain']);
    expect(byName('c:1 as me').log).toEqual(['drain']);
    expect([cluster.inFlight('a'), cluster.inFlight('b'), cluster.inFlight('c')]).toEqual([1, 1, 0]);
    const moved = [a, b, c].find((state) => state.spec.id === 'b')!;
    expect(cluster.pool(moved, 'me')).toBe(byName('b:9 as me'));
  });

  it('makes one pool for each identity, and a new one when an identity is renewed', () => {
    const { cluster, pools } = setUp(spec([endpoint('a')]));
    const a = cluster.pick(null, NO_KEY, null)!;
    const mine = cluster.pool(a, 'me');
    expect(cluster.pool(a, 'me')).toBe(mine);
    const yours = cluster.pool(a, 'you');
    expect(yours).not.toBe(mine);
    cluster.renewIdentity('me');
    expect(pools.map((pool) => pool.log)).toEqual([['drain'], []]);
    expect(cluster.pool(a, 'me')).not.toBe(mine);
    expect(cluster.pool(a, 'you')).toBe(yours);
  });

  it('drains all connections when what they speak changes', () => {
    const { cluster, pools } = setUp(spec([endpoint('a')]));
    cluster.pool(cluster.pick(null, NO_KEY, null)!, 'me');
    cluster.reconcile(spec([endpoint('a')], { connectTimeoutMs: 5 }));
    expect(pools[0].log).toEqual([]);
    cluster.reconcile(spec([endpoint('a')], { tls: true }));
    expect(pools[0].log).toEqual(['drain']);
  });

  it('parks up to its limit and releases on every change', () => {
    const { cluster, released } = setUp(spec([endpoint('a', { state: 'starting' })]));
    const [one, two, three] = [exchange(), exchange(), exchange()];
    expect([cluster.park(one), cluster.park(two), cluster.park(three)]).toEqual([true, true, false]);
    cluster.unpark(two);
    expect(cluster.park(three)).toBe(true);
    cluster.reconcile(spec([endpoint('a')]));
    expect(released).toEqual([one, three]);
    expect(cluster.park(two)).toBe(true);
  });

  it('knows whether waiting makes sense', () => {
    const { cluster } = setUp(
      spec([endpoint('a', { state: 'down' }), endpoint('b', { state: 'starting', subset: 'canary' })]),
    );
    expect([cluster.expects(null), cluster.expects('canary'), cluster.expects('default')]).toEqual([true, true, false]);
    cluster.reconcile(spec([]));
    expect([cluster.expects(null), cluster.describe(null)]).toEqual([true, 'not started yet']);
    cluster.reconcile(spec([], { spiffeId: null }));
    expect(cluster.expects(null)).toBe(false);
  });

  it('has nothing for anyone once the service is gone', () => {
    const { cluster, pools, released } = setUp(spec([endpoint('a'), endpoint('b', { state: 'starting' })]));
    cluster.pool(cluster.pick(null, NO_KEY, null)!, 'me');
    const waiting = exchange();
    cluster.park(waiting);
    cluster.close();
    expect(pools[0].log).toEqual(['drain']);
    expect(released).toEqual([waiting]);
    expect(cluster.pick(null, NO_KEY, null)).toBeNull();
    expect([cluster.expects(null), cluster.describe(null)]).toEqual([false, 'removed from the mesh']);
  });

  it('closes every connection when it is destroyed', () => {
    const { cluster, pools } = setUp(spec([endpoint('a')]));
    cluster.pool(cluster.pick(null, NO_KEY, null)!, 'me');
    cluster.destroy();
    expect(pools[0].log[0]).toBe('destroy');
  });
});
