import { readdirSync } from 'node:fs';
import { expect, vi } from 'vitest';
import { listeningPorts } from '../../src/runtime/state/port-owner.ts';
import type { TestMesh } from './e2e.ts';

/** What a running mesh takes up in the system, and what its proxies know. */
export interface Footprint {
  endpoints: unknown;
  identities: string[];
  /** That the daemon and the data planes listen on. */
  ports: number[];
  /** Below `.mesh`, without logs and traces. */
  files: string[];
  pids: number[];
}

export async function footprint(mesh: TestMesh): Promise<Footprint> {
  const { pid, dataPlanePids } = await mesh.status();
  const certificates = await mesh.json<{ certificates?: { spiffeId: string }[] }>('certs');
  const ports = await listeningPorts([pid, ...dataPlanePids]);
  return {
    endpoints: await mesh.json('endpoints'),
    identities: (certificates.certificates ?? []).map(({ spiffeId }) => spiffeId).sort(),
    ports: ports.map(({ port }) => port).sort((a, b) => a - b),
    files: readdirSync(mesh.path('.mesh'), { recursive: true })
      .map(String)
      .filter((file) => !/^(logs|traces)\b|\.log$/.test(file))
      .sort(),
    pids: mesh
      .processes()
      .map((each) => each.pid)
      .sort((a, b) => a - b),
  };
}

/** Fails unless the mesh is again as it was: no port, file, identity or process more, and none less. */
export async function expectFootprint(mesh: TestMesh, before: Footprint): Promise<void> {
  await vi.waitFor(async () => expect(await footprint(mesh)).toEqual(before), { timeout: 5_000, interval: 100 });
}
