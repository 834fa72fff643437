import { execFileSync } from 'node:child_process';
import { parseEnv } from 'node:util';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { environmentText } from '../../../../src/runtime/client/inject/environment-text.ts';
import { findTool, skipped } from '../../../support/tools.ts';

const names = fc.stringMatching(/^V_[A-Za-z0-9_]{1,8}$/);
/** No NUL, which an environment cannot hold; quotes, dollars and line ends more often than chance would have them. */
const values = fc
  .array(
    fc.oneof(
      fc.constantFrom("'", '"', '`', '$', '\\', '\n', '\r', '!', ' ', '#', '*', '~', '%'),
      fc.string({ unit: 'binary' }),
    ),
  )
  .map((parts) => Buffer.from(parts.join('').replaceAll('\0', '')).toString());
const environments = fc.dictionary(names, values, { minKeys: 1, maxKeys: 30 });

/** What a program sees that a shell starts after it has evaluated the text. */
function evaluated(shell: string, args: string[], text: string): Record<string, string> {
  const printer = 'process.stdout.write(JSON.stringify(process.env))';
  const output = execFileSync(shell, [...args, `${text}\n"${process.execPath}" -e '${printer}'`], {
    encoding: 'utf8',
    // bash reads .bashrc if its input is a socket.
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8' },
  });
  return JSON.parse(output);
}

it.each(['sh', 'bash', 'zsh'])('%s gets every value as it is', (name) => {
  const shell = findTool(name);
  if (shell === null) return void skipped(`no ${name}`);
  fc.assert(
    fc.property(environments, (environment) => {
      expect(evaluated(shell, ['-c'], environmentText(environment, 'sh'))).toMatchObject(environment);
    }),
    { numRuns: 10 },
  );
});

it('fish gets every value as it is', () => {
  const fish = findTool('fish');
  if (fish === null) return void skipped('no fish');
  fc.assert(
    fc.property(environments, (environment) => {
      expect(evaluated(fish, ['-c'], environmentText(environment, 'fish'))).toMatchObject(environment);
    }),
    { numRuns: 10 },
  );
});

it('works through eval "$(...)", as it is used', () => {
  const text = environmentText({ V_A: "it's $HOME `x`", V_B: 'two\nlines ' }, 'sh');
  const output = execFileSync('sh', ['-c', 'eval "$(cat)"; printf %s "$V_A|$V_B"'], { input: text, encoding: 'utf8' });
  expect(output).toBe("it's $HOME `x`|two\nlines ");
});

it('is read back from dotenv as it is, or left out', () => {
  fc.assert(
    fc.property(environments, (environment) => {
      const text = environmentText(environment, 'dotenv');
      const read = parseEnv(text);
      for (const [name, value] of Object.entries(environment)) {
        if (text.includes(`# ${name} cannot`)) continue;
        expect(read[name]).toBe(value);
      }
    }),
  );
  expect(environmentText({ URL: 'http://127.0.0.1:80' }, 'dotenv')).toBe('URL=http://127.0.0.1:80\n');
  expect(environmentText({ A: 'a \' " ` b' }, 'dotenv')).toBe('# A cannot be said here\n');
});

it('escapes for fish, leaves out what is no name, and prints JSON', () => {
  expect(environmentText({ A: "it's \\ $x" }, 'fish')).toBe("set -gx A 'it\\'s \\\\ $x'\n");
  expect(environmentText({ 'a.b\n': '1', OK: '2' }, 'sh')).toBe("export OK='2'\n# a.b\\n cannot be said here\n");
  expect(JSON.parse(environmentText({ 'a.b': '1' }, 'json'))).toEqual({ 'a.b': '1' });
});
