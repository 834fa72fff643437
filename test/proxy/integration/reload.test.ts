import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import type { FilterPolicies } from '../../../src/model/resolved.ts';
import { startTestMesh, type TestMesh, type TestService } from '../../support/proxy-mesh.ts';
import { eventually, fetchH1, httpApp, settled, type TestApp, underWay } from '../../support/traffic.ts';

const none: FilterPolicies = { requestHeaders: null, responseHeaders: null, rewrite: null, redirect: null };

describe('changes while requests run', () => {
  const opened: { close(): Promise<void> }[] = [];

  afterEach(async () => {
    for (const one of opened.splice(0).reverse()) await one.close();
  });

  const app = async (listener: http.RequestListener): Promise<TestApp> => {
    const started = await httpApp(listener);
    opened.push(started);
    return started;
  };
  const start = async (services: Record<string, TestService>): Promise<TestMesh> => {
    const mesh = await startTestMesh(services);
    opened.push(mesh);
    return mesh;
  };
  const named = (name: string) =>
    app((request, response) => {
      let n = 0;
      request.on('data', (chunk: Buffer) => (n += chunk.length));
      request.on('end', () => response.end(`${name} ${request.url} ${request.headers['x-version']} ${n}`));
    });

  /** Twenty connections of HTTP/1.1 and twenty h2 streams that ask again as soon as they are answered. */
  function load(
    port: number,
    judge: (body: string, at: { from: number; to: number }) => string | null,
    clock: () => number,
  ) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 20 });
    const session = http2.connect(`http://127.0.0.1:${port}`);
    let stop = false;
    const failures: string[] = [];
    let answered = 0;
    const note = (status: number, body: string, from: number) => {
      answered++;
      const wrong = status === 200 ? judge(body, { from, to: clock() }) : `${status} ${body}`;
      if (wrong !== null && failures.length < 10) failures.push(wrong);
    };
    const h1 = async (i: number) => {
      while (!stop) {
        const from = clock();
        try {
          const reply = await fetchH1(port, {
            agent,
            method: i % 2 ? 'POST' : 'GET',
            path: `/${i}`,
            ...(i % 2 ? { body: 'x'.repeat(i * 100) } : {}),
          });
          note(reply.status, reply.body, from);
        } catch (error) {
          failures.push(`h1: ${String(error)}`);
        }
      }
    };
    const h2 = async (i: number) => {
      while (!stop) {
        const from = clock();
        try {
          const stream = session.request({ ':path': `/${i}` });
          const [headers] = await once(stream, 'response');
          let body = '';
          for await (const chunk of stream) body += chunk;
          note(headers[':status'], body, from);
        } catch (error) {
          failures.push(`h2: ${String(error)}`);
        }
      }
    };
    const all = [...Array.from({ length: 20 }, (_, i) => h1(i)), ...Array.from({ length: 20 }, (_, i) => h2(i))];
    return {
      failures,
      answered: () => answered,
      async end() {
        stop = true;
        await Promise.all(all);
        agent.destroy();
        session.close();
      },
    };
  }

  it('puts a hundred snapshots in force under load: nothing fails, nothing is misrouted', {
    timeout: 60_000,
  }, async () => {
    const a = await named('a');
    const b = await named('b');
    // Version v sends everything to a (even) or b (odd) and says so in a header.
    const at = (version: number): Record<string, TestService> => ({
      app: {
        apps: [
          { port: a.port, subset: 'a' },
          { port: b.port, subset: 'b' },
        ],
        routes: [
          {
            backends: [
              { service: 'app', subset: 'a', weight: version % 2 === 0 ? 1 : 0 },
              { service: 'app', subset: 'b', weight: version % 2 === 0 ? 0 : 1 },
            ],
            filters: { ...none, requestHeaders: { set: [['x-version', String(version)]], add: [], remove: [] } },
          },
        ],
      },
      // Something else comes and goes as well.
      ...(version % 3 === 0 ? {} : { beside: { apps: [{ port: a.port }] } }),
    });
    let version = 0;
    const mesh = await start({ ...at(1), ...at(0) });
    mesh.update(at(0));
    const judge = (body: string, { from, to }: { from: number; to: number }) => {
      const [name, , said] = body.split(' ');
      const v = Number(said);
      if (!(v >= from && v <= to)) return `version ${said} outside of ${from}..${to}`;
      return name === (v % 2 === 0 ? 'a' : 'b') ? null : `version ${v} answered by ${name}`;
    };
    const running = load(mesh.dependency.app, judge, () => version);
    for (let i = 1; i <= 100; i++) {
      const before = running.answered();
      mesh.update(at(i));
      version = i;
      await eventually(() => running.answered() >= before + 10, 'the load goes on', 10_000);
    }
    await running.end();
    expect(running.failures).toEqual([]);
    expect(running.answered()).toBeGreaterThan(1_000);
    await settled(mesh);
  });

  it('rotates certificates fifty times under load: nothing fails, new connections show the new one', {
    timeout: 60_000,
  }, async () => {
    const a = await named('a');
    const mesh = await start({ app: { apps: [{ port: a.port }] } });
    const running = load(
      mesh.dependency.app,
      (body) => (body.startsWith('a ') ? null : body),
      () => 0,
    );
    for (let i = 0; i < 50; i++) {
      mesh.rotate(i % 2 === 0 ? 'app' : 'client');
      const before = running.answered();
      await eventually(() => running.answered() >= before + 10, 'the load goes on', 10_000);
    }
    await running.end();
    expect(running.failures).toEqual([]);
    const svid = mesh.identities['spiffe://test.local/ns/default/sa/client'];
    const socket = tls.connect({
      host: '127.0.0.1',
      port: mesh.inbound['app-1'],
      cert: svid.certificate,
      key: svid.privateKey,
      rejectUnauthorized: false,
    });
    await once(socket, 'secureConnect');
    const current = new X509Certificate(mesh.identities['spiffe://test.local/ns/default/sa/app'].certificate);
    expect(socket.getPeerX509Certificate()!.serialNumber).toBe(current.serialNumber);
    socket.destroy();
    await settled(mesh);
    const { listeners } = mesh.proxy as unknown as { listeners: Map<string, { connections: Set<unknown> }> };
    // The links of replaced identities have gone, and so have the clients.
    await eventually(() => listeners.get('app-1/inbound')!.connections.size === 1, 'old links close');
    await eventually(() => listeners.get('client/to/app')!.connections.size === 0, 'connections of clients close');
  });

  it('moves an application to another port: what runs ends at the old one, and the control plane is told', async () => {
    let finish: () => void = () => {};
    const old = await app((_request, response) => {
      response.write('old ');
      finish = () => response.end('done');
    });
    const fresh = await app((_request, response) => response.end('new'));
    const mesh = await start({ app: { apps: [{ port: old.port }] } });
    const running = fetchH1(mesh.dependency.app);
    await eventually(() => underWay(mesh).apps === 1, 'it runs');
    mesh.update({ app: { apps: [{ port: fresh.port }] } });
    expect((await fetchH1(mesh.dependency.app)).body).toBe('new');
    expect(mesh.inFlight).toEqual([{ workload: 'app-1', port: old.port, requests: 1 }]);
    finish();
    expect((await running).body).toBe('old done');
    await eventually(() => mesh.inFlight.length === 2, 'the last report');
    expect(mesh.inFlight[1]).toEqual({ workload: 'app-1', port: old.port, requests: 0 });
    await settled(mesh);
  });

  it('lets requests of a removed instance end, and sends it no more', async () => {
    const pending: (() => void)[] = [];
    const one = await app((_request, response) => void pending.push(() => response.end('one')));
    const two = await app((_request, response) => response.end('two'));
    const mesh = await start({ app: { apps: [{ port: one.port }] } });
    const running = Array.from({ length: 5 }, () => fetchH1(mesh.dependency.app));
    await eventually(() => pending.length === 5, 'they run');
    mesh.update({ app: { apps: [{ port: one.port, state: 'draining' }, { port: two.port }] } });
    for (let i = 0; i < 5; i++) expect((await fetchH1(mesh.dependency.app)).body).toBe('two');
    expect(mesh.inFlight[0]).toEqual({ workload: 'app-1', port: one.port, requests: 5 });
    for (const done of pending) done();
    for (const reply of await Promise.all(running)) expect(reply.body).toBe('one');
    await eventually(() => mesh.inFlight.at(-1)!.requests === 0, 'the last report');
    await settled(mesh);
  });

  it('takes a service away while it is asked: what runs ends', async () => {
    const pending: (() => void)[] = [];
    const one = await app((_request, response) => void pending.push(() => response.end('one')));
    const mesh = await start({ app: { apps: [{ port: one.port }] }, other: { apps: [{ port: one.port }] } });
    const running = fetchH1(mesh.dependency.app);
    await eventually(() => pending.length === 1, 'it runs');
    mesh.update({ other: { apps: [{ port: one.port }] } });
    const gone = await fetchH1(mesh.outbound, { headers: { host: 'app' } });
    expect([gone.status, gone.headers['x-mesh-response-flags']]).toEqual([404, 'NC']);
    expect(gone.body).toContain('there are: other');
    pending[0]();
    expect((await running).body).toBe('one');
  });

  it('changes nothing when a snapshot cannot be used', async () => {
    const a = await named('a');
    const mesh = await start({ app: { apps: [{ port: a.port }] } });
    const version = mesh.proxy.version;
    const base = {
      base: version,
      version: version + 1,
      mesh: null,
      listeners: {},
      routes: {},
      clusters: {},
      identities: {},
    };
    const identity = mesh.identities['spiffe://test.local/ns/default/sa/app'];
    const attempts: [string, object][] = [
      ['MESH-R120', { base: version + 7 }],
      [
        'MESH-R121',
        {
          routes: {
            app: {
              service: 'app',
              routes: [
                {
                  name: 'x',
                  path: '',
                  hosts: [],
                  matches: [{ path: { kind: 'regex', value: '(' }, methods: [], headers: [], query: [] }],
                  filters: none,
                  backends: [],
                  timeouts: { requestMs: 0, idleMs: 0 },
                  retries: null,
                },
              ],
            },
          },
        },
      ],
      ['MESH-R122', { identities: { x: { ...identity, certificate: 'no certificate' } } }],
      ['MESH-R122', { identities: { [identity.spiffeId]: null } }],
    ];
    for (const [code, part] of attempts) {
      const prepared = mesh.proxy.prepare({ ...base, ...part } as Parameters<typeof mesh.proxy.prepare>[0]);
      expect(Array.isArray(prepared) && prepared[0].code, code).toBe(code);
      expect(mesh.proxy.version).toBe(version);
      expect((await fetchH1(mesh.dependency.app)).body).toMatch(/^a /);
    }
  });

  it('closes what is idle on a listener that goes away, and opens the same port again at once', async () => {
    const a = await named('a');
    const both: Record<string, TestService> = { app: { apps: [{ port: a.port }] }, more: { apps: [{ port: a.port }] } };
    const mesh = await start(both);
    const idle = net.connect(mesh.dependency.more, '127.0.0.1');
    idle.write('GET / HTTP/1.1\r\nhost: more\r\n\r\n');
    await once(idle, 'data');
    const ended = once(idle, 'end');
    mesh.update({ app: both.app });
    await ended;
    await expect(fetchH1(mesh.dependency.more)).rejects.toThrow(/ECONNREFUSED/);
    mesh.update(both);
    expect((await fetchH1(mesh.dependency.more)).body).toMatch(/^a /);
    mesh.update({ app: both.app });
    mesh.update(both);
    expect((await fetchH1(mesh.dependency.more)).body).toMatch(/^a /);
    expect(mesh.notices.filter((text) => text.includes('cannot be served'))).toEqual([]);
  });
});
