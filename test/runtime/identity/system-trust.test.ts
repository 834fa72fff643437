import { spawnSync } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openRoot, type RootAuthority } from '../../../src/runtime/identity/root.ts';
import { isTrustedBySystem, type SystemTrustOptions } from '../../../src/runtime/identity/system-trust.ts';
import { cleanUp, openssl, temporaryDirectory, value } from './fixture.ts';

cleanUp();

const curl = spawnSync('curl', ['--version']).status === 0;
if (!curl) console.log('skipped: no curl');
const NO_NODE: SystemTrustOptions['node'] = { path: process.execPath, useSystemCa: false };

async function newRoot(directory: string): Promise<RootAuthority> {
  return value(await openRoot({ dataDir: join(directory, 'data'), owner: undefined, label: 'test', now: Date.now() }));
}

/** A directory with one program in it, for a PATH. */
async function pathWith(directory: string, name: string, script: string): Promise<string> {
  const bin = join(directory, `bin-${name}`);
  await mkdir(bin);
  await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(bin, name), 0o755);
  return bin;
}

const found = (tool: string) => spawnSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).stdout.trim();

describe.runIf(process.platform !== 'win32')('isTrustedBySystem', () => {
  it.runIf(curl)('is told by curl that a new root is not trusted, whatever the environment says', async () => {
    const root = await newRoot(await temporaryDirectory());
    const env = { ...process.env, SSL_CERT_FILE: root.certificatePath, CURL_CA_BUNDLE: root.certificatePath };
    const trust = await isTrustedBySystem(root, { now: Date.now(), env });
    expect(trust).toMatchObject({ state: 'untrusted', client: 'curl', detail: expect.stringMatching(/certificate/) });
  });

  it.runIf(curl)('is told by curl that a root in its store is trusted', async () => {
    const directory = await temporaryDirectory();
    const root = await newRoot(directory);
    // Stands for a system whose store has the root.
    const bin = await pathWith(directory, 'curl', `exec ${found('curl')} "$@" --cacert ${root.certificatePath}`);
    const trust = await isTrustedBySystem(root, { now: Date.now(), env: { PATH: bin } });
    expect(trust).toMatchObject({ state: 'trusted', client: 'curl' });
  });

  it.runIf(openssl)('asks openssl where there is no curl', async () => {
    const directory = await temporaryDirectory();
    const root = await newRoot(directory);
    const plain = await pathWith(directory, 'openssl', `exec ${found('openssl')} "$@"`);
    expect(await isTrustedBySystem(root, { now: Date.now(), env: { PATH: plain }, node: NO_NODE })).toMatchObject({
      state: 'untrusted',
      client: 'openssl',
    });
    await writeFile(
      join(plain, 'openssl'),
      `#!/bin/sh\nexec ${found('openssl')} "$@" -CAfile ${root.certificatePath}\n`,
    );
    expect(await isTrustedBySystem(root, { now: Date.now(), env: { PATH: plain }, node: NO_NODE })).toMatchObject({
      state: 'trusted',
      client: 'openssl',
    });
  });

  it('asks a Node that knows the store of the system', async () => {
    const directory = await temporaryDirectory();
    const root = await newRoot(directory);
    // Stands for such a version: takes the option, and trusts what NODE_EXTRA_CA_CERTS names.
    const withRoot = await pathWith(
      directory,
      'node',
      `shift; NODE_EXTRA_CA_CERTS=${root.certificatePath} exec ${process.execPath} "$@"`,
    );
    const without = `${withRoot}/../plain`;
    await writeFile(without, `#!/bin/sh\nshift; exec ${process.execPath} "$@"\n`);
    await chmod(without, 0o755);
    const ask = (path: string) =>
      isTrustedBySystem(root, { now: Date.now(), env: { PATH: '' }, node: { path, useSystemCa: true } });
    expect(await ask(join(withRoot, 'node'))).toMatchObject({ state: 'trusted', client: 'node' });
    expect(await ask(without)).toMatchObject({
      state: 'untrusted',
      client: 'node',
      detail: expect.stringMatching(/UNABLE_TO_VERIFY|SELF_SIGNED|UNABLE_TO_GET/),
    });
  });

  it('passes on to the next where one has no verdict, and says so where none has', async () => {
    const directory = await temporaryDirectory();
    const root = await newRoot(directory);
    const bin = await pathWith(directory, 'curl', 'echo "curl: (77) error setting certificate file" >&2; exit 77');
    expect(await isTrustedBySystem(root, { now: Date.now(), env: { PATH: bin }, node: NO_NODE })).toEqual({
      state: 'unknown',
      detail: 'could not be tried: curl: curl: (77) error setting certificate file',
    });
    expect(await isTrustedBySystem(root, { now: Date.now(), env: { PATH: '' }, node: NO_NODE })).toEqual({
      state: 'unknown',
      detail: 'could not be tried: neither curl nor openssl is installed',
    });
  });
});
