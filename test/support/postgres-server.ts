import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type RunningPostgres, startPostgres } from '../../src/runtime/resources/embedded-postgres.ts';
import { removeCluster } from '../../src/runtime/resources/postgres-cluster.ts';
import { skipped } from './tools.ts';

export interface TestServer extends RunningPostgres {
  /** Stops it and leaves nothing of its data. */
  remove(): Promise<void>;
}

/** A server for the tests of a file; null, and the reason printed, where there is no PostgreSQL. */
export async function startTestServer(): Promise<TestServer | null> {
  const directory = await mkdtemp(path.join(tmpdir(), 'mesh-postgres-'));
  const dataDir = path.join(directory, 'testdb');
  const started = await startPostgres({ dataDir, port: 0 });
  if (!started.ok) {
    rmSync(directory, { recursive: true, force: true });
    const [{ code, message }] = started.problems;
    if (code !== 'MESH-D101') throw new Error(`${code}: ${message}`);
    skipped(`no PostgreSQL: ${message}`);
    return null;
  }
  return {
    ...started.value,
    async remove() {
      await started.value.stop();
      await removeCluster(dataDir);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
