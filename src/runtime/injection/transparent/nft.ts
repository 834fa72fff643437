import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import path from 'node:path';

const TIMEOUT_MS = 5_000;
/** Administration programs are not on every user's PATH. */
const ADMIN_DIRECTORIES = ['/usr/sbin', '/sbin', '/usr/local/sbin'];

/** Path of `nft`; null: not installed. */
export function findNft(searchPath = process.env.PATH ?? ''): string | null {
  const directories = [...searchPath.split(path.delimiter).filter(path.isAbsolute), ...ADMIN_DIRECTORIES];
  for (const directory of directories) {
    const file = path.join(directory, 'nft');
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this one.
    }
  }
  return null;
}

/** Null: done, all of it. Otherwise what nft says, and nothing of it was done. `check`: only tried. */
export function runNft(nft: string, rules: string, options: { check: boolean }): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn(nft, [...(options.check ? ['-c'] : []), '-f', '-'], {
      stdio: ['pipe', 'ignore', 'pipe'],
      env: { PATH: process.env.PATH ?? '', LC_ALL: 'C' },
      timeout: TIMEOUT_MS,
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (said.length < 4_096) said += text;
    });
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => {
      if (code === 0) resolve(null);
      else resolve(firstComplaint(said) || `nft ended with ${signal ?? `code ${code}`}`);
    });
    // It may end before it has read everything.
    child.stdin.on('error', () => {});
    child.stdin.end(rules);
  });
}

/** `/dev/stdin:7:5-30: Error: Could not process rule: No such file or directory`, without where it stands. */
function firstComplaint(said: string): string {
  const line = said.split('\n').find((text) => text.includes('Error:')) ?? said.split('\n')[0];
  return line.replace(/^.*?Error:\s*/, '').trim();
}
