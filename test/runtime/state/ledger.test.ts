import * as fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Ledger, openLedger } from '../../../src/runtime/state/ledger.ts';
import { temporaryDirectory, unwrap } from '../supervisor/mesh-fixture.ts';

let base: string;
let file: string;

beforeEach(() => {
  base = temporaryDirectory();
  file = path.join(base, 'ledger');
});

afterEach(() => fs.rmSync(base, { recursive: true, force: true }));

const reopen = (ledger: Ledger): Ledger => {
  ledger.close();
  return unwrap(openLedger(file, 'key'));
};

const intent = (ledger: Ledger, instance = 'a-1'): string =>
  unwrap(ledger.intend({ instance, command: 'node a.js', ports: [1, 2] }));

describe('ledger', () => {
  it('knows after a reopening what was intended, started and ended', () => {
    let ledger = unwrap(openLedger(file, 'key'));
    const [a, b, c] = ['a-1', 'b-1', 'c-1'].map((name) => intent(ledger, name));
    unwrap(ledger.started(b, process.pid));
    unwrap(ledger.started(c, process.pid));
    ledger.ended(c);
    ledger.ended('key.unknown');
    ledger = reopen(ledger);
    const live = ledger.live();
    expect(live.map(({ marker, instance }) => [marker, instance])).toEqual([
      [a, 'a-1'],
      [b, 'b-1'],
    ]);
    expect(live[0].process).toBeNull();
    expect(live[1].process).toMatchObject({
      pid: process.pid,
      pgid: process.pid,
      startTime: expect.stringContaining('@'),
    });
    expect(live[1].ports).toEqual([1, 2]);
    expect(a.startsWith(ledger.markerPrefix)).toBe(true);
    ledger.close();
  });

  it('reads past a torn last line, at whatever byte, and garbage', () => {
    const ledger = unwrap(openLedger(file, 'key'));
    const markers = [intent(ledger), intent(ledger), intent(ledger)];
    ledger.close();
    const whole = fs.readFileSync(file);
    const lastLine = whole.lastIndexOf(10, whole.length - 2) + 1;
    for (let length = lastLine; length < whole.length; length++) {
      fs.writeFileSync(file, whole.subarray(0, length));
      let torn = unwrap(openLedger(file, 'key'));
      const next = intent(torn);
      torn = reopen(torn);
      const complete = length === whole.length - 1 ? 3 : 2;
      expect(torn.live().map(({ marker }) => marker)).toEqual([...markers.slice(0, complete), next]);
      torn.close();
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
        fs.writeFileSync(
          file,
          Buffer.concat([
            whole,
            garbage,
            Buffer.from('\n{"event":"started","marker":"x","pid":1,"startTime":"1"}\n[1]\nnull\n'),
          ]),
        );
        const opened = unwrap(openLedger(file, 'key'));
        const found = opened.live().map(({ marker }) => marker);
        opened.close();
        expect(found).toEqual(markers);
      }),
      { numRuns: 50 },
    );
  });

  it('stays small however many processes come and go', () => {
    let ledger = unwrap(openLedger(file, 'key'));
    const kept = intent(ledger, 'kept-1');
    for (let count = 0; count < 3_000; count++) ledger.ended(intent(ledger));
    expect(fs.statSync(file).size).toBeLessThan(600_000);
    ledger = reopen(ledger);
    expect(ledger.live().map(({ marker }) => marker)).toEqual([kept]);
    ledger.close();
  });
});
