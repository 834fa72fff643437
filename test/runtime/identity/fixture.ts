import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import type { Result } from '../../../src/model/result.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import {
  type AuthorityOptions,
  type CertificateAuthority,
  openCertificateAuthority,
} from '../../../src/runtime/identity/certificate-authority.ts';

export const DAY_MS = 24 * 60 * 60_000;

const directories: string[] = [];

/** A directory that is removed after the test. Call `cleanUp` once in each file. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'mesh-identity-'));
  directories.push(directory);
  return directory;
}

export function cleanUp(): void {
  afterEach(async () => {
    for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
  });
}

export function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(result.problems.map((p) => `${p.code} ${p.message}`).join('; '));
  return result.value;
}

export function code(result: Result<unknown>): string | undefined {
  return result.ok ? undefined : result.problems[0]?.code;
}

/** An authority in `directory`: its data in `data`, its state in `<mesh>/.mesh`. */
export async function authority(
  directory: string,
  options: Partial<AuthorityOptions> = {},
): Promise<CertificateAuthority> {
  return value(await openAuthority(directory, options));
}

export function openAuthority(
  directory: string,
  options: Partial<AuthorityOptions> = {},
): Promise<Result<CertificateAuthority>> {
  const mesh = options.mesh ?? 'shop';
  return openCertificateAuthority({
    dataDir: join(directory, 'data'),
    stateDir: join(directory, mesh, '.mesh'),
    mesh,
    trustDomain: `${mesh}.local`,
    clock: systemClock,
    ttlMs: DAY_MS,
    ...options,
  });
}

/** Whether openssl is there; says so once where it is not. */
export const openssl: boolean = spawnSync('openssl', ['version']).status === 0;
if (!openssl) console.log('skipped: no openssl');

export function runOpenssl(args: string[], input?: string): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('openssl', args, { encoding: 'utf8', input });
  return { status, output: `${stdout}${stderr}` };
}
