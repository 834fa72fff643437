import { execFile } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { startH2Server } from '../../support/h2-server.ts';
import { findTool, skipped } from '../../support/tools.ts';

/** The conformance suite of the field; test/proxy/conformance has it run against whole listeners. */
const h2spec = findTool('h2spec', 'MESH_H2SPEC');
if (h2spec === null) skipped('no h2spec');

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
