import { describe, expect, it } from 'vitest';
import type { MeshStatus } from '../../src/model/status.ts';
import { createStatusFeed } from '../../src/runtime/status-feed.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { shopStatus } from './control/fake-mesh.ts';

function watched() {
  const clock = new FakeClock();
  const seen: MeshStatus[] = [];
  let made = 0;
  const feed = createStatusFeed(() => {
    made++;
    return shopStatus();
  }, clock);
  return { clock, seen, feed, made: () => made, watch: () => feed.watch((status) => seen.push(status)) };
}

describe('the status of a mesh for those who watch it', () => {
  it('comes at once, and after changes that come together once', () => {
    const { clock, seen, feed, watch } = watched();
    watch();
    expect(seen).toHaveLength(1);
    for (let i = 0; i < 10; i++) feed.changed();
    clock.advance(49);
    expect(seen).toHaveLength(1);
    clock.advance(1);
    expect(seen).toHaveLength(2);
    clock.advance(10_000);
    expect(seen).toHaveLength(2);
  });

  it('comes once a second while only traffic moves', () => {
    const { clock, seen, feed, watch } = watched();
    watch();
    for (let quarter = 0; quarter < 20; quarter++) {
      feed.moved();
      clock.advance(250);
    }
    expect(seen).toHaveLength(1 + 5);
    clock.advance(10_000);
    expect(seen.length).toBeLessThanOrEqual(1 + 6);
  });

  it('does not come again for traffic that a change has told of', () => {
    const { clock, seen, feed, watch } = watched();
    watch();
    feed.moved();
    feed.changed();
    clock.advance(5_000);
    expect(seen).toHaveLength(2);
  });

  it('is not made while nobody watches', () => {
    const { clock, feed, made, watch } = watched();
    feed.changed();
    feed.moved();
    const stop = watch();
    stop();
    feed.changed();
    feed.moved();
    clock.advance(5_000);
    expect(made()).toBe(1);
    expect(clock.pending).toBe(0);
  });
});
