import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { LogLine } from '../../src/model/status.ts';
import { logEntry, prettyText } from '../../src/tui/log-entry.ts';

const line = (text: string, stream: LogLine['stream'] = 'stdout'): LogLine => ({
  time: '2026-11-20T10:00:00.000Z',
  service: 'orders',
  instance: 'orders-1',
  stream,
  text,
});

it.each([
  ['{"level":30,"time":1,"pid":2,"hostname":"h","msg":"ready","port":3000}', 'info', 'ready  port=3000'],
  ['{"level":50,"msg":"no database","err":{"code":"X"}}', 'error', 'no database  err={"code":"X"}'],
  ['{"level":"warn","message":"slow","ms":12}', 'warn', 'slow  ms=12'],
  ['{"severity":"ERROR","message":"x"}', 'error', 'x'],
  ['{"lvl":"dbg","text":"t"}', 'info', 't'],
  ['{"a":1}', 'info', 'a=1'],
  ['{"msg":"\\u001b[2Jhidden"}', 'info', 'hidden'],
  ['[10:00:00] ERROR: it broke', 'error', '[10:00:00] ERROR: it broke'],
  ['warning: old', 'warn', 'warning: old'],
  ['TypeError: x is not a function', 'error', 'TypeError: x is not a function'],
  ['there was an error in the past', 'info', 'there was an error in the past'],
  ['DEBUG cache hit', 'debug', 'DEBUG cache hit'],
  ['{ not json }', 'info', '{ not json }'],
  ['[1,2]', 'info', '[1,2]'],
])('%s is %s', (text, level, shown) => {
  expect(logEntry(line(text), 0)).toMatchObject({ level, text: shown });
});

it('takes stderr for a warning unless it says otherwise', () => {
  expect(logEntry(line('hm', 'stderr'), 0).level).toBe('warn');
  expect(logEntry(line('INFO: fine', 'stderr'), 0).level).toBe('info');
});

it('prints JSON over several lines, without control characters', () => {
  const entry = logEntry(line('{"msg":"m","deep":{"list":[1]},"bad":"\\u001b[2J"}'), 0);
  expect(prettyText(entry)).toEqual([
    '{',
    '  "msg": "m",',
    '  "deep": {',
    '    "list": [',
    '      1',
    '    ]',
    '  },',
    '  "bad": "\\u001b[2J"',
    '}',
  ]);
  expect(prettyText(logEntry(line('text'), 0))).toEqual(['text']);
});

it('makes one harmless line of anything', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json()), (text) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
      expect(logEntry(line(text), 0).text).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    }),
  );
});
