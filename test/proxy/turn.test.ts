import { describe, expect, it } from 'vitest';
import { flushAtTurnEnd, turnTimeMs } from '../../src/proxy/turn.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('the end of a turn', () => {
  it('flushes everyone once, in order, and those that ask meanwhile at the end of the next', async () => {
    const log: string[] = [];
    const late = { flush: () => void log.push('late') };
    const member = (name: string) => ({
      flush() {
        log.push(name);
        if (name === 'a') flushAtTurnEnd(late);
      },
    });
    flushAtTurnEnd(member('a'));
    flushAtTurnEnd(member('b'));
    expect(log).toEqual([]);
    await turn();
    expect(log.slice(0, 2)).toEqual(['a', 'b']);
    await turn();
    expect(log).toEqual(['a', 'b', 'late']);
  });

  it('flushes the others when one throws, and lets the error be seen', async () => {
    const before = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const seen: unknown[] = [];
    process.on('uncaughtException', (error) => seen.push(error));
    try {
      const bug = new Error('a bug');
      let flushed = 0;
      flushAtTurnEnd({ flush: () => flushed++ });
      flushAtTurnEnd({
        flush() {
          throw bug;
        },
      });
      flushAtTurnEnd({ flush: () => flushed++ });
      await turn();
      await turn();
      expect(flushed).toBe(2);
      expect(seen).toEqual([bug]);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of before) process.on('uncaughtException', listener);
    }
  });
});

describe('turn time', () => {
  it('is one for the whole turn and the clock again in the next', async () => {
    const first = turnTimeMs();
    const until = performance.now() + 5;
    while (performance.now() < until);
    expect(turnTimeMs()).toBe(first);
    await turn();
    await turn();
    const next = turnTimeMs();
    expect(next - first).toBeGreaterThanOrEqual(5);
  });
});
