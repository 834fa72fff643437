import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startH2Server } from '../../support/h2-server.ts';

/** The conformance suite of the field, where it is installed: MESH_H2SPEC, or `h2spec` on PATH. */
function findH2spec(): string | null {
  const candidates = [
    process.env.MESH_H2SPEC,
    ...(process.env.PATH ?? '').split(delimiter).map((dir) => join(dir, 'h2spec')),
  ];
  for (const file of candidates) {
    if (file === undefined || file === '') continue;
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not there: the next one.
    }
  }
  return null;
}

const h2spec = findH2spec();
if (h2spec === null) console.log('skipped: no h2spec');

describe.skipIf(h2spec === null)('h2spec', () => {
  for (const suite of ['generic', 'http2', 'hpack']) {
    it(`passes ${suite}`, { timeout: 120_000 }, async () => {
      const server = await startH2Server();
      try {
        const report = await new Promise<string>((resolve) => {
          const args = ['-h', '127.0.0.1', '-p', String(server.port), '-o', '2', suite];
          execFile(h2spec as string, args, { maxBuffer: 16 << 20 }, (_error, stdout, stderr) =>
            resolve(stdout + stderr),
          );
        });
        const summary = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(report);
        expect(summary, report).not.toBeNull();
        expect(Number(summary?.[4]), report).toBe(0);
        expect(Number(summary?.[2]), report).toBeGreaterThan(0);
      } finally {
        await server.close();
      }
    });
  }
});
