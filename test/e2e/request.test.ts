import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Explanation } from '../../src/model/explanation.ts';
import { cleanUpMeshes, startMesh } from '../support/e2e.ts';
import { ECHO, type EchoAnswer, echo } from '../support/e2e-services.ts';

cleanUpMeshes();

const CLI = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

/** Answers with its own status, with bytes that a terminal would obey, slowly, or not to the end. */
const ODD = `
import http from 'node:http';
http.createServer((request, response) => {
  const url = new URL(request.url, 'http://x');
  if (url.pathname === '/status') response.statusCode = Number(url.searchParams.get('code'));
  if (url.pathname === '/evil') {
    response.setHeader('x-evil', 'a\\u009b2Jb');
    response.end(Buffer.from([0x1b, 0x5b, 0x32, 0x4a, 0xff, 0x0a]));
  } else if (url.pathname === '/broken') {
    response.writeHead(200, { 'content-length': '100' });
    response.write('half');
    setTimeout(() => response.destroy(), 50);
  } else if (url.pathname === '/never') return;
  else if (url.pathname === '/echo') request.pipe(response);
  else response.end('fine');
}).listen(Number(process.env.PORT), '127.0.0.1');
`;

interface ResponseDocument {
  from: string;
  to: string;
  status: number;
  body: string;
  bodyEncoding: string;
  explanation?: Explanation;
}

const startShop = () =>
  startMesh(
    { 'echo.mjs': ECHO, 'odd.mjs': ODD },
    {
      services: {
        web: echo(),
        orders: echo({
          subsets: { v1: {}, canary: {} },
          routes: [
            { name: 'canary', matches: [{ headers: { 'x-canary': '1' } }], backends: [{ subset: 'canary' }] },
            { name: 'rest', backends: [{ subset: 'v1' }] },
          ],
        }),
        odd: { command: ['node', 'odd.mjs'] },
        cache: { command: ['node', 'odd.mjs'], protocol: 'tcp' },
      },
    },
  );

/** A command takes long on a machine that has much to do. */
const LONG_MS = 150_000;

describe('mesh request', () => {
  it(
    'sends as the service, by its routes and with its identity, and explains',
    async () => {
      const mesh = await startShop();
      const send = (...words: string[]) => mesh.mesh('request', '--as', 'web', ...words);

      const plain = await send('orders', '/orders/7?x=1', '-H', 'x-user: ann');
      const answer = JSON.parse(plain.stdout) as EchoAnswer;
      expect(plain).toMatchObject({ code: 0, stderr: '' });
      expect(answer).toMatchObject({
        instance: 'orders-v1-1',
        method: 'GET',
        path: '/orders/7?x=1',
        headers: { 'x-user': 'ann', host: 'orders' },
      });
      expect(answer.headers['x-forwarded-client-cert']).toContain('URI=spiffe://e2e.local/ns/default/sa/web');

      const document = await mesh.json<ResponseDocument>(
        'request',
        '--as',
        'web',
        'orders',
        '/o',
        '-d',
        '{"a":1}',
        '-H',
        'x-canary: 1',
        '--explain',
      );
      expect(document).toMatchObject({ from: 'web-1', to: 'orders', status: 200, bodyEncoding: 'utf8' });
      expect(JSON.parse(document.body)).toMatchObject({
        instance: 'orders-canary-1',
        method: 'POST',
        body: '{"a":1}',
        headers: { 'content-type': 'application/json' },
      });
      expect(document.explanation).toMatchObject({
        kind: 'happened',
        request: { headersKnown: true },
        backend: { subset: 'canary' },
        outcome: { status: 200, requestBytes: 7 },
      });
      const rest = await send('orders', '/o', '--explain');
      expect(JSON.parse(rest.stdout)).toMatchObject({ instance: 'orders-v1-1' });
      expect(rest.stderr).toContain('header x-canary is absent, wanted "1"');
      expect(rest.stderr).toContain('picked by round-robin');
    },
    LONG_MS,
  );

  it(
    'gives what the application answers, whatever that is',
    async () => {
      const mesh = await startShop();
      const send = (...words: string[]) => mesh.mesh('request', '--as', 'web', ...words);

      // Statuses are answers; --fail makes failures of them.
      expect(await send('odd', '/status?code=503')).toMatchObject({ code: 0, stdout: 'fine' });
      expect(await send('odd', '/status?code=404', '--fail', '-i')).toMatchObject({
        code: 1,
        stdout: expect.stringMatching(/^HTTP\/1\.1 404 Not Found\n[\s\S]*\n\nfine$/),
      });
      expect(await send('odd', '/broken')).toMatchObject({
        code: 1,
        stdout: 'half',
        stderr: expect.stringContaining('MESH-X104'),
      });
      expect(await send('odd', '/never', '--timeout', '300ms')).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('no complete response within 300 ms'),
      });
      const evil = spawnSync(process.execPath, [CLI, 'request', '--as', 'web', 'odd', '/evil', '-i'], {
        cwd: mesh.dir,
        env: mesh.env,
      });
      expect(evil.stdout.subarray(-6)).toEqual(Buffer.from([0x1b, 0x5b, 0x32, 0x4a, 0xff, 0x0a]));
      expect(evil.stdout.toString('latin1')).toContain('x-evil: a\\x9b2Jb');

      // Bodies of any size and content, as they come.
      const bytes = Buffer.alloc(3 * 1024 * 1024, Buffer.from([0, 1, 2, 0xff, 0x0d]));
      mesh.write('body.bin', '');
      const echoed = spawnSync(
        process.execPath,
        [CLI, 'request', '--as', 'web', 'odd', '/echo', '-X', 'PUT', '-d', '-'],
        {
          cwd: mesh.dir,
          env: mesh.env,
          input: bytes,
          maxBuffer: 8 * 1024 * 1024,
        },
      );
      expect(echoed.status).toBe(0);
      expect(echoed.stdout.equals(bytes)).toBe(true);
    },
    LONG_MS,
  );

  it(
    'says what is wrong with what cannot be sent',
    async () => {
      const mesh = await startShop();
      const refused = async (...words: string[]) => {
        const { code, stderr } = await mesh.mesh('request', ...words);
        return `${code} ${stderr}`;
      };
      expect(await refused('--as', 'wep', 'orders')).toMatch(/^2 error\[MESH-U103\][\s\S]*did you mean 'web'/);
      expect(await refused('--as', 'web', 'order')).toMatch(/^2 error\[MESH-U103\][\s\S]*did you mean 'orders'/);
      expect(await refused('--as', 'web', 'orders', '/', '-H', 'nonsense')).toMatch(/^2 error\[MESH-U102\]/);
      expect(await refused('--as', 'web', 'orders', '/', '-d', '@missing')).toMatch(
        /^2 error\[MESH-U102\] missing cannot be read: ENOENT/,
      );
      expect(await refused('--as', 'web', 'cache')).toMatch(/^1 error\[MESH-X105\] cache speaks TCP/);
      await mesh.mesh('stop', 'web');
      expect(await refused('--as', 'web', 'orders')).toMatch(
        /^1 error\[MESH-X103\] web-1 does not run[\s\S]*`mesh start web`/,
      );
    },
    LONG_MS,
  );

  it(
    'says why nothing is kept where traces are off, and what would happen',
    async () => {
      const mesh = await startMesh(
        { 'echo.mjs': ECHO },
        { telemetry: { traces: false }, services: { web: echo(), orders: echo() }, gateway: null },
      );
      const { code, stdout, stderr } = await mesh.mesh('request', '--as', 'web', 'orders', '/x', '--explain');
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ service: 'orders' });
      expect(stderr).toMatch(/might happen[\s\S]*telemetry\.traces is false/);
    },
    LONG_MS,
  );
});
