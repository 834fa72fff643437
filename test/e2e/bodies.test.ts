import { readFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import { describe, expect, it } from 'vitest';
import type { RequestEvent } from '../../src/model/events.ts';
import { cleanUpMeshes, createMesh, eventually } from '../support/e2e.ts';
import { ECHO, echo, routesTo } from '../support/e2e-services.ts';

cleanUpMeshes();

/** A gRPC server without a library: two messages of `{ text: "n" }` to whatever comes. */
const GREETER = `
import http2 from 'node:http2';
const frame = (text) => Buffer.concat([Buffer.from([0, 0, 0, 0, text.length + 2, 10, text.length]), Buffer.from(text)]);
http2.createServer().on('stream', (stream) => {
  stream.resume().on('end', () => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.write(frame('one'));
    stream.end(frame('two'));
  });
}).listen(Number(process.env.PORT), '127.0.0.1');
`;

const PROTO = `
syntax = "proto3";
package shop;
service Greeter { rpc Hello(Question) returns (stream Answer); }
message Question { string access_token = 1; }
message Answer { string text = 1; }
`;

function post(port: number, path: string, body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', host: 'localhost' };
    const request = http.request({ port, path, method: 'POST', headers, agent: false }, (response) => {
      response.resume().on('end', resolve);
    });
    request.on('error', reject);
    request.end(body);
  });
}

function callGrpc(port: number, path: string, token: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`http://127.0.0.1:${port}`).on('error', reject);
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, token.length + 2, 10, token.length]), Buffer.from(token)]));
    stream.on('error', reject).resume();
    stream.on('end', () => session.close(resolve));
  });
}

describe('mesh tap --bodies', () => {
  it('shows bodies without secret fields, and gRPC messages by their .proto file', async () => {
    const mesh = await createMesh(
      { 'echo.mjs': ECHO, 'greeter.mjs': GREETER, 'api/greeter.proto': PROTO },
      {
        telemetry: { redactFields: ['pin'] },
        gateway: {
          routes: [
            { matches: [{ grpc: { service: 'shop.Greeter' } }], backends: [{ service: 'greeter' }] },
            ...routesTo('web'),
          ],
        },
        services: {
          web: echo(),
          greeter: { command: ['node', 'greeter.mjs'], protocol: 'grpc', proto: 'api/greeter.proto' },
        },
      },
    );
    await mesh.up();

    const tap = mesh.run('tap', '--bodies', '--to', 'web', '-n', '1');
    await eventually(async () => {
      await post(mesh.gatewayPort, '/web', '{"user":"eve","pin":1234,"Password":"hunter2"}');
      return tap.child.exitCode !== null;
    }, 20_000);
    const lines = await tap.ended;
    expect(lines.code).toBe(0);
    expect(lines.stdout).toContain('> body: application/json, 46 bytes\n');
    expect(lines.stdout).toContain(
      '>     "user": "eve",\n    >     "pin": "[redacted]",\n    >     "Password": "[redacted]"\n',
    );
    // The echo answers with the request as JSON within JSON.
    expect(lines.stdout).toMatch(/"body": "\{\\"user\\":\\"eve\\",\\"pin\\":\\"\[redacted\]\\"/);
    expect(lines.stdout).not.toMatch(/1234|hunter2/);

    const grpc = mesh.run('tap', '--bodies', '--json', '--protocol', 'grpc', '-n', '1');
    await eventually(async () => {
      await callGrpc(mesh.gatewayPort, '/shop.Greeter/Hello', 'SECRET');
      return grpc.child.exitCode !== null;
    }, 20_000);
    const { requestBody, responseBody } = JSON.parse((await grpc.ended).stdout) as RequestEvent;
    expect(requestBody).toEqual({
      contentType: 'application/grpc',
      messages: [{ type: 'shop.Question', bytes: 8, truncated: false, json: { accessToken: '[redacted]' } }],
      truncated: false,
      bytes: 13,
    });
    expect(responseBody?.messages?.map(({ json }) => json)).toEqual([{ text: 'one' }, { text: 'two' }]);

    mesh.write(
      'mesh.config.ts',
      readFileSync(mesh.path('mesh.config.ts'), 'utf8').replace('api/greeter.proto', 'api/gone.proto'),
    );
    const validated = await mesh.mesh('validate');
    expect(validated.code).not.toBe(0);
    expect(validated.stdout + validated.stderr).toMatch(
      /MESH-B101\S* no such file: api\/gone\.proto\n.*mesh\.config\.ts:\d+/,
    );
  });
});
