import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unifiedDiff } from '../../src/scaffold/diff.ts';

const print = (before: string | null, after: string): string =>
  unifiedDiff('a.txt', before, after)
    .map(({ text }) => text)
    .join('\n');

/** The text that a unified diff makes of another. */
function patch(before: string, diff: string): string {
  const old = before === '' ? [] : before.split(/(?<=\n)/);
  const result: string[] = [];
  let at = 0;
  const lines = diff === '' ? [] : diff.split('\n').slice(2);
  lines.forEach((line, index) => {
    const place = /^@@ -(\d+)(?:,(\d+))? /.exec(line);
    const end = lines[index + 1]?.startsWith('\\') ? '' : '\n';
    if (place !== null) {
      const from = place[2] === '0' ? Number(place[1]) : Number(place[1]) - 1;
      while (at < from) result.push(old[at++]);
    } else if (line.startsWith('+')) result.push(line.slice(1) + end);
    else if (!line.startsWith('\\')) {
      expect(old[at]).toBe(line.slice(1) + end);
      if (line.startsWith(' ')) result.push(old[at]);
      at++;
    }
  });
  return [...result, ...old.slice(at)].join('');
}

describe('unified diff', () => {
  it('reads as diff -u writes it', () => {
    const lines = Array.from({ length: 20 }, (_, index) => `line ${index + 1}`);
    const changed = lines.map((line) => (line === 'line 10' ? 'line ten' : line));
    expect(print(`${lines.join('\n')}\n`, `${changed.join('\n')}`)).toBe(
      `--- a/a.txt
+++ b/a.txt
@@ -7,7 +7,7 @@
 line 7
 line 8
 line 9
-line 10
+line ten
 line 11
 line 12
 line 13
@@ -17,4 +17,4 @@
 line 17
 line 18
 line 19
-line 20
+line 20
\\ No newline at end of file`,
    );
  });

  it('of a new file is all of it, and of the same text nothing', () => {
    expect(print(null, 'one\ntwo\n')).toBe('--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1,2 @@\n+one\n+two');
    expect(print('same\n', 'same\n')).toBe('');
  });

  it('makes the one text of the other', () => {
    const text = fc
      .tuple(fc.array(fc.constantFrom('a', 'b', 'c', ''), { maxLength: 30 }), fc.boolean())
      .map(([lines, end]) => lines.join('\n') + (end && lines.length > 0 ? '\n' : ''));
    fc.assert(
      fc.property(text, text, (before, after) => {
        expect(patch(before, print(before, after))).toBe(after);
      }),
      { numRuns: 500 },
    );
  });
});
