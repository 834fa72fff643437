import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { bundleWithSystemRoots } from '../../../src/runtime/identity/system-roots.ts';
import { authority, cleanUp, temporaryDirectory } from './fixture.ts';

cleanUp();

const blocks = (text: string): string[] =>
  text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
const [first, second, third] = rootCertificates as string[];

describe('bundleWithSystemRoots', () => {
  it('puts the root before those of the system, each once', async () => {
    const directory = await temporaryDirectory();
    const { rootPem } = await authority(directory);
    const bundle = join(directory, 'bundle.pem');
    await writeFile(
      bundle,
      `# a comment\n${first}\n\nSome CA\n======\n${second!.replaceAll('\n', '\r\n')}\r\n${rootPem}${first}\n`,
    );
    const text = await bundleWithSystemRoots(rootPem, { candidates: [join(directory, 'missing'), bundle] });
    expect(blocks(text)).toEqual([rootPem.trim(), first!.trim(), second!.trim()]);
    expect(text.endsWith('-----END CERTIFICATE-----\n')).toBe(true);
    expect(text).not.toMatch(/\r|comment/);
  });

  it("prefers the user's own bundle", async () => {
    const directory = await temporaryDirectory();
    const { rootPem } = await authority(directory);
    await writeFile(join(directory, 'company.pem'), third!);
    await writeFile(join(directory, 'system.pem'), first!);
    const text = await bundleWithSystemRoots(rootPem, {
      preferred: join(directory, 'company.pem'),
      candidates: [join(directory, 'system.pem')],
    });
    expect(blocks(text)).toEqual([rootPem.trim(), third!.trim()]);
  });

  it('does not grow when applied to its own output', async () => {
    const directory = await temporaryDirectory();
    const { rootPem } = await authority(directory);
    const once = await bundleWithSystemRoots(rootPem, { candidates: [] });
    await writeFile(join(directory, 'once.pem'), once);
    expect(await bundleWithSystemRoots(rootPem, { preferred: join(directory, 'once.pem') })).toBe(once);
  });

  it("falls back to Node's roots where the system has no bundle, or an empty one", async () => {
    const directory = await temporaryDirectory();
    const { rootPem } = await authority(directory);
    await writeFile(join(directory, 'empty.pem'), '# nothing\n');
    const text = await bundleWithSystemRoots(rootPem, { preferred: '', candidates: [join(directory, 'empty.pem')] });
    expect(blocks(text).length).toBe(new Set(rootCertificates).size + 1);
  });

  it('finds certificates on this machine, every one of them readable', async () => {
    const { rootPem } = await authority(await temporaryDirectory());
    const found = blocks(await bundleWithSystemRoots(rootPem));
    expect(found.length).toBeGreaterThan(20);
    for (const pem of found) expect(new X509Certificate(pem).validTo).toBeTruthy();
  });
});
