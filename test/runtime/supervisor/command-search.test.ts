import * as fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Command } from '../../../src/model/resolved.ts';
import { checkCommand, describeCommand, searchPath } from '../../../src/runtime/supervisor/command-search.ts';
import { shell, temporaryDirectory } from './mesh-fixture.ts';

let base: string;

beforeEach(() => {
  base = temporaryDirectory();
});

afterEach(() => fs.rmSync(base, { recursive: true, force: true }));

const argv = (...words: string[]): Command => ({ shell: false, argv: words });

describe('the search for programs', () => {
  it('begins in the folders of the service', () => {
    expect(searchPath('/m/apps/web', '/m', '/bin').split(':').slice(0, 4)).toEqual([
      '/m/apps/web/node_modules/.bin',
      '/m/apps/node_modules/.bin',
      '/m/node_modules/.bin',
      '/bin',
    ]);
    expect(searchPath('/other', '/m', '/bin').split(':').slice(0, 3)).toEqual([
      '/other/node_modules/.bin',
      '/m/node_modules/.bin',
      '/bin',
    ]);
    expect(searchPath('/m', '/m', undefined)).toContain('/usr/bin');
  });

  it('finds what is there, and leaves to the shell what only it can know', () => {
    const found = ['sh', '/bin/sh'].map((name) => argv(name));
    const lines = [
      'sh -c true',
      'A=1 B=2 sh x',
      'cd x && nosuch',
      'if true; then nosuch; fi',
      '$PROGRAM x',
      '"quoted thing" x',
      'PATH=/x nosuch',
      '(nosuch)',
    ];
    for (const command of [...found, ...lines.map(shell)])
      expect(checkCommand(command, base, '/bin:/usr/bin', 'web')).toBeNull();
    fs.writeFileSync(path.join(base, 'run'), '#!/bin/sh\n', { mode: 0o755 });
    expect(checkCommand(shell('./run --now'), base, '/bin', 'web')).toBeNull();
  });

  it('says what is missing', () => {
    const code = (command: Command, cwd = base): string | undefined =>
      checkCommand(command, cwd, `${base}/node_modules/.bin:/bin`, 'web')?.code;
    expect(code(argv('sh'), path.join(base, 'nowhere'))).toBe('MESH-P107');
    expect(code(argv('./nowhere'))).toBe('MESH-P101');
    expect(code(shell('A=1 no-such-program x'))).toBe('MESH-P101');
    fs.writeFileSync(path.join(base, 'plain'), '');
    expect(code(argv('./plain'))).toBe('MESH-P111');
    fs.mkdirSync(path.join(base, 'node_modules/.bin'), { recursive: true });
    fs.writeFileSync(path.join(base, 'node_modules/.bin/vite'), '');
    expect(checkCommand(shell('vitee dev'), base, `${base}/node_modules/.bin`, 'web')?.hint).toContain(
      "did you mean 'vite'?",
    );
  });

  it('shows commands as one would type them', () => {
    expect(describeCommand(shell('a | b'))).toBe('a | b');
    expect(describeCommand(argv('node', '-e', 'a b'))).toBe("node -e 'a b'");
  });
});
