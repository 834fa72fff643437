// The order of things, with everything around it in memory: a crash at every moment there is.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Behaviour, simulate } from './simulated.ts';

const COMPENSATED: Record<string, Behaviour[]> = {
  'the last step refuses': ['well', 'well', 'refuses'],
  'the first step refuses': ['refuses', 'well', 'well'],
  'a step may have happened': ['well', 'late', 'well'],
  'a refusal after lost answers': ['answer lost', 'answer lost', 'refuses'],
  'compensations that fail at first': ['undo fails twice', 'undo fails twice', 'refuses'],
};

describe('a saga', () => {
  it('does its steps in order', async () => {
    const { state, log, moves } = await simulate(['well', 'well', 'well']);
    assert.equal(state, 'completed');
    assert.deepEqual(log, ['s0', 's1', 's2']);
    assert.deepEqual(moves, ['running', 'completed']);
  });

  it('does a step once, however often its answer is lost', async () => {
    const { state, log, calls } = await simulate(['answer lost', 'well']);
    assert.equal(state, 'completed');
    assert.deepEqual(log, ['s0', 's1']);
    assert.equal(calls, 4);
  });

  it('undoes what is done, in reverse order', async () => {
    const { state, log, moves } = await simulate(['well', 'well', 'refuses']);
    assert.equal(state, 'compensated');
    assert.deepEqual(log, ['s0', 's1', 'undo s1', 'undo s0']);
    assert.deepEqual(moves, ['running', 'compensating', 'compensated']);
  });

  it('compensates a step that may have happened, and its call that arrives later has no effect', async () => {
    const { state, effects, log } = await simulate(['well', 'late', 'well']);
    assert.equal(state, 'compensated');
    assert.deepEqual(effects, []);
    assert.deepEqual(log, ['s0', 'undo s0']);
  });

  it('is parked when a compensation cannot be done, and goes on from there', async () => {
    const stuck: Behaviour[] = ['well', 'undo refused twice', 'well', 'refuses'];
    const parked = await simulate(stuck);
    assert.equal(parked.state, 'parked');
    assert.deepEqual(parked.effects, ['s0', 's1']);
    const resumed = await simulate(stuck, { resumes: 2 });
    assert.equal(resumed.state, 'compensated');
    assert.deepEqual(resumed.moves, [
      'running',
      'compensating',
      'parked',
      'compensating',
      'parked',
      'compensating',
      'compensated',
    ]);
    assert.deepEqual(resumed.log, ['s0', 's1', 's2', 'undo s2', 'undo s1', 'undo s0']);
  });

  it('is parked when the time for a compensation is over', async () => {
    const { state, effects } = await simulate(['well', 'undo fails', 'refuses']);
    assert.equal(state, 'parked');
    assert.deepEqual(effects, ['s0', 's1']);
  });

  it('leaves out a compensation that somebody has done by hand', async () => {
    const { state, log } = await simulate(['well', 'undo fails', 'refuses'], { resumes: 1, skip: true });
    assert.equal(state, 'compensated');
    assert.deepEqual(log, ['s0', 's1', 'undo s0']);
  });

  for (const [title, behaviours] of Object.entries(COMPENSATED)) {
    it(`${title}: nothing is left, wherever the process crashes, and crashes again`, async () => {
      const reverse = (log: readonly string[]) => {
        const undone = log.filter((entry) => entry.startsWith('undo'));
        assert.deepEqual(undone, [...undone].sort().reverse());
        assert.equal(new Set(log).size, log.length, `an effect twice: ${log.join(', ')}`);
      };
      let crashed = 0;
      for (const second of [null, 0, 1, 3, 7, 12]) {
        for (let first = 0; ; first++) {
          const crashes = second === null ? [first] : [first, second];
          const outcome = await simulate(behaviours, { crashes });
          assert.equal(outcome.state, 'compensated', `crashes at ${crashes}`);
          assert.deepEqual(outcome.effects, [], `crashes at ${crashes}`);
          reverse(outcome.log);
          crashed += outcome.crashes;
          if (outcome.crashes === 0) break;
        }
      }
      assert.ok(crashed > 100, `only ${crashed} crashes`);
    });
  }

  it('completes wherever the process crashes', async () => {
    for (let first = 0; ; first++) {
      const outcome = await simulate(['well', 'answer lost', 'well'], { crashes: [first, 2] });
      assert.equal(outcome.state, 'completed');
      assert.deepEqual(outcome.log, ['s0', 's1', 's2']);
      if (outcome.crashes === 0) break;
    }
  });
});
