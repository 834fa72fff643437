import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ControlClient, connectControl } from '../../../src/runtime/control/client.ts';
import { type ControlServer, serveControl } from '../../../src/runtime/control/server.ts';
import { controlSocketPath } from '../../../src/runtime/control/socket-path.ts';
import { type FakeMesh, fakeMesh, temporaryDirectory } from './fake-mesh.ts';

describe('databases over the control API', () => {
  let mesh: FakeMesh;
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let server: ControlServer;
  let client: ControlClient;

  beforeEach(async () => {
    mesh = fakeMesh();
    directory = await temporaryDirectory();
    const socket = controlSocketPath(directory.path);
    const served = await serveControl(mesh, socket);
    const connected = await connectControl(socket);
    if (!served.ok || !connected.ok) throw new Error('the control API does not start');
    server = served.value;
    client = connected.value;
  });
  afterEach(async () => {
    client.close();
    await server.close();
    await directory[Symbol.asyncDispose]();
  });

  it('says where one is, for a service or for none', async () => {
    const login = 'postgres://mesh:secret@127.0.0.1';
    expect(await client.databases.access('db', 'orders')).toEqual({
      ok: true,
      value: { name: 'db', url: `${login}:1/db`, as: 'orders', directUrl: `${login}:2/db` },
    });
    expect(await client.databases.access('db', 'nobody')).toMatchObject({ value: { url: null } });
    await client.databases.access('db', null);
    expect(mesh.calls).toEqual(['database db orders', 'database db nobody', 'database db null']);
  });

  it('resets and migrates', async () => {
    expect(await client.databases.reset('db')).toEqual({ ok: true, value: undefined });
    expect(await client.databases.migrate('db')).toEqual({ ok: true, value: undefined });
    expect(mesh.calls).toEqual(['reset db', 'migrate db']);
  });

  it('passes on what is in the way', async () => {
    mesh.refuse = 'db';
    expect(await client.databases.access('db', null)).toMatchObject({ problems: [{ code: 'MESH-D117' }] });
    expect(await client.databases.migrate('db')).toMatchObject({ problems: [{ code: 'MESH-D110' }] });
  });
});
