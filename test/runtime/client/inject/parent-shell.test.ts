import { expect, it } from 'vitest';
import { shellAmong } from '../../../../src/runtime/client/inject/parent-shell.ts';

const at = (pid: number, pgid: number, ...words: string[]) => ({ pid, pgid, command: words.join('\0') });

it('is the shell that ran the command', () => {
  expect(shellAmong([at(20, 20, '-zsh'), at(10, 10, 'tmux')], false)).toBe(20);
  expect(shellAmong([at(20, 20, '/usr/bin/fish'), at(10, 10, 'sshd')], false)).toBe(20);
});

it('is not the copy of it that a substitution runs in', () => {
  expect(shellAmong([at(31, 20, 'bash'), at(20, 20, 'bash'), at(10, 10, 'xterm')], false)).toBe(20);
});

it('is the inner one of two shells', () => {
  expect(shellAmong([at(31, 31, 'bash'), at(20, 20, 'bash')], false)).toBe(31);
  expect(shellAmong([at(31, 20, 'bash', '-c', 'eval ...'), at(20, 20, 'bash')], false)).toBe(31);
});

it('is not the one that npx starts the command with', () => {
  const chain = [at(33, 20, 'sh', '-c', 'mesh inject'), at(32, 20, 'npm exec mesh inject'), at(20, 20, 'bash')];
  expect(shellAmong(chain, true)).toBe(20);
});

it('may be none', () => {
  expect(shellAmong([at(20, 20, 'node', 'ide.js'), at(10, 10, 'systemd')], false)).toBe(null);
});
