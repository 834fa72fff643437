import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Dependencies,
  type Progress,
  runningDependents,
  unmetDependencies,
  withDependencies,
} from '../../../src/runtime/supervisor/dependency-graph.ts';

const shop: Dependencies = {
  web: [
    { service: 'orders', condition: 'ready' },
    { service: 'gateway', condition: 'ready' },
  ],
  orders: [
    { service: 'db', condition: 'ready' },
    { service: 'migrate', condition: 'completed' },
  ],
  migrate: [{ service: 'db', condition: 'started' }],
  db: [],
  other: [],
};

const at = (progress: Partial<Progress>): Progress => ({
  started: false,
  ready: false,
  completed: false,
  failed: null,
  ...progress,
});

describe('dependency graph', () => {
  it('reaches what is depended on, in order of declaration', () => {
    expect(withDependencies(shop, ['orders'])).toEqual(['orders', 'migrate', 'db']);
    expect(withDependencies(shop, ['migrate', 'other'])).toEqual(['migrate', 'db', 'other']);
    expect(withDependencies(shop, undefined)).toEqual(Object.keys(shop));
    expect(withDependencies(shop, ['nobody'])).toEqual([]);
  });

  it('waits for each condition, and for nothing that is not there', () => {
    const states: Record<string, Progress> = {
      db: at({ started: true }),
      migrate: at({ failed: 'exited with code 1' }),
    };
    const unmet = (name: string) => unmetDependencies(name, shop, (each) => states[each] ?? null);
    expect(unmet('migrate')).toEqual([]);
    expect(unmet('orders')).toEqual([
      { service: 'db', condition: 'ready', failed: null },
      { service: 'migrate', condition: 'completed', failed: 'exited with code 1' },
    ]);
    expect(unmet('web')).toEqual([]);
    states.orders = at({});
    expect(unmet('web')).toEqual([{ service: 'orders', condition: 'ready', failed: null }]);
  });

  it('starts and stops everything of any graph without cycles', () => {
    const graphs = fc.array(fc.array(fc.nat(30), { maxLength: 4 }), { maxLength: 30 }).map(
      (lists): Dependencies =>
        // Only on earlier ones, so there are no cycles.
        Object.fromEntries(
          lists.map((list, index) => [
            `s${index}`,
            [...new Set(list.filter((each) => each < index))].map((each) => ({
              service: `s${each}`,
              condition: 'ready' as const,
            })),
          ]),
        ),
    );
    fc.assert(
      fc.property(graphs, (graph) => {
        const running = new Set<string>();
        const names = Object.keys(graph);
        for (let round = 0; round < names.length && running.size < names.length; round++)
          for (const name of names.filter(
            (each) => unmetDependencies(each, graph, (other) => at({ ready: running.has(other) })).length === 0,
          ))
            running.add(name);
        expect(running.size).toBe(names.length);
        for (let round = 0; running.size > 0 && round <= names.length; round++)
          for (const name of [...running].filter(
            (each) => runningDependents(each, graph, (other) => running.has(other)).length === 0,
          ))
            running.delete(name);
        expect(running.size).toBe(0);
      }),
    );
  });
});
