/** Small services for end-to-end tests, as the text of a file that node runs. */

/**
 * HTTP/1.1: answers who it is and what it got. `/slow?ms=` answers late, `/call?url=` passes on what another service
 * says, `/exit` ends the process after its answer, `/lines?n=` writes to stdout.
 */
export const ECHO = `
import http from 'node:http';

const { MESH_SERVICE: service, MESH_INSTANCE: instance, VERSION: version = '' } = process.env;
const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://x');
  const body = [];
  for await (const chunk of request) body.push(chunk);
  const answer = { service, instance, pid: process.pid, version, method: request.method, path: request.url, headers: request.headers, body: Buffer.concat(body).toString() };
  if (url.pathname.endsWith('/slow')) await new Promise((resolve) => setTimeout(resolve, Number(url.searchParams.get('ms'))));
  if (url.pathname.endsWith('/env')) answer.env = process.env;
  if (url.pathname.endsWith('/call')) {
    const target = process.env[url.searchParams.get('env')] + (url.searchParams.get('path') ?? '/');
    const reply = await fetch(target).catch((error) => ({ status: 0, text: async () => String(error.cause ?? error) }));
    const text = await reply.text();
    answer.called = { status: reply.status, body: text.startsWith('{') ? JSON.parse(text) : text };
    if (reply.status !== 200) response.statusCode = 502;
  }
  if (url.pathname.endsWith('/lines')) for (let i = 1; i <= Number(url.searchParams.get('n')); i++) console.log('line ' + i);
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(answer));
  if (url.pathname.endsWith('/exit')) setImmediate(() => process.exit(Number(url.searchParams.get('code') ?? 1)));
});
server.keepAliveTimeout = 60_000;
server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log(service + ' listens on ' + process.env.PORT));
`;

/** What ECHO answers. */
export interface EchoAnswer {
  service: string;
  instance: string;
  pid: number;
  version: string;
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
  env?: Record<string, string>;
  called?: { status: number; body: EchoAnswer };
}

export const echo = (fields: object = {}) => ({ command: ['node', 'echo.mjs'], ...fields });

/** Gateway routes: `/<service>` to each of these. */
export const routesTo = (...services: string[]) =>
  services.map((service) => ({ matches: [{ path: { prefix: `/${service}` } }], backends: [{ service }] }));
