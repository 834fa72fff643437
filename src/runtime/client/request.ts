import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, constants } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { problem } from '../../model/errors.ts';
import { type Explanation, NO_QUERY } from '../../model/explanation.ts';
import { suggest } from '../../model/nearest.ts';
import { fail, ok, type Result } from '../../model/result.ts';
import type { InstanceStatus, MeshStatus } from '../../model/status.ts';
import type { ControlClient } from '../control/client.ts';
import { plain } from '../telemetry/event-text.ts';
import { parseLimit } from './arguments.ts';
import { parseMethod, parseRequestHeaders, parseRequestPath } from './request-arguments.ts';
import type { OutgoingRequest } from './send-request.ts';

export interface RequestFlags {
  as: string;
  request?: string;
  header?: readonly string[];
  data?: string;
  timeout?: string;
}

/** A request as a service would send it. */
export interface ServiceRequest extends OutgoingRequest {
  from: InstanceStatus;
  to: string;
  /** Null: it is left to the proxies to begin a trace. */
  traceId: string | null;
}

/**
 * @param traced so that it can be found again: the request gets a sampled trace of its own
 * @returns MESH-U102 or MESH-U103 for what cannot be sent, MESH-X103 where the caller has no instance, MESH-X105 where the
 *   service takes no HTTP
 */
export async function buildRequest(
  service: string,
  path: string,
  flags: RequestFlags,
  status: MeshStatus,
  { traced, stdin }: { traced: boolean; stdin: Readable },
): Promise<Result<ServiceRequest>> {
  const from = senderOf(flags.as, status);
  if (!from.ok) return from;
  const to = receiverOf(service, status);
  if (!to.ok) return to;
  const parsedPath = parseRequestPath(path);
  if (!parsedPath.ok) return parsedPath;
  const method = parseMethod(flags.request ?? (flags.data === undefined ? 'GET' : 'POST'));
  if (!method.ok) return method;
  if (method.value === 'CONNECT') {
    const message = 'CONNECT opens a tunnel, which is no single request';
    return fail(problem('MESH-U102', { message, hint: 'a service connects to the port of its dependency instead' }));
  }
  const given = parseRequestHeaders(flags.header ?? []);
  if (!given.ok) return given;
  const timeout = flags.timeout === undefined ? ok(0) : parseLimit('--timeout', flags.timeout);
  if (!timeout.ok) return timeout;
  const body = await bodyOf(flags.data, stdin);
  if (!body.ok) return body;

  const headers: [string, string][] = given.value;
  const has = (name: string): boolean => headers.some(([key]) => key.toLowerCase() === name);
  const add = (name: string, value: string): void => {
    if (!has(name)) headers.push([name, value]);
  };
  add('host', service);
  add('accept', '*/*');
  add('user-agent', 'mesh-request');
  if (Buffer.isBuffer(body.value) && isJson(body.value)) add('content-type', 'application/json');
  let traceId: string | null = null;
  if (traced) {
    const own = headers.find(([name]) => name.toLowerCase() === 'traceparent');
    if (own === undefined)
      headers.push(['traceparent', `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`]);
    traceId = /^[0-9a-f]{2}-([0-9a-f]{32})-/.exec((own ?? headers.at(-1)!)[1])?.[1] ?? null;
  }
  return ok({
    port: from.value.outboundPort!,
    method: method.value,
    path: parsedPath.value,
    headers,
    body: body.value,
    timeoutMs: timeout.value,
    from: from.value,
    to: to.value,
    traceId,
  });
}

const cannotSend = (message: string, hint: string) => fail(problem('MESH-X103', { message, hint }));

/** The instance whose outbound port is used: one that is ready, or else one that runs. */
function senderOf(name: string, status: MeshStatus): Result<InstanceStatus> {
  const { services } = status;
  if (name === 'gateway') {
    const { http } = status.gateway;
    const hint = http === undefined ? 'use curl with its https port' : `try \`curl http://localhost:${http}/\``;
    return fail(
      problem('MESH-U102', { message: 'whoever calls the gateway is outside the mesh and has no identity', hint }),
    );
  }
  const owner = services.find((service) => service.name === name || service.instances.some(({ id }) => id === name));
  if (owner === undefined) return fail(unknownService(name, status));
  if (owner.external)
    return cannotSend(
      `${name} is external: it runs outside the mesh and has no outbound port`,
      'say a service of the mesh with --as',
    );
  const wanted = owner.instances.filter(({ id }) => owner.name === name || id === name);
  const running = wanted.filter(({ pid, outboundPort }) => pid !== null && outboundPort !== null);
  const best = running.find(({ state }) => state === 'ready') ?? running[0];
  if (best !== undefined) return ok(best);
  const [instance] = wanted;
  if (instance === undefined) return cannotSend(`${name} has no instances`, `\`mesh scale ${name}=1\` gives it one`);
  const why = instance.reason === '' ? '' : ` (${instance.reason})`;
  const hint =
    instance.state === 'starting'
      ? `\`mesh wait ${owner.name}\` waits until it is ready`
      : owner.task
        ? `\`mesh start ${owner.name}\` runs the task again`
        : `start it with \`mesh start ${owner.name}\`; \`mesh logs ${owner.name}\` shows why it ended`;
  return cannotSend(`${instance.id} does not run: it is ${instance.state}${why}`, hint);
}

/** A service by its name, or by one of its host names. */
function receiverOf(name: string, status: MeshStatus): Result<string> {
  const found = status.services.find(
    (service) => service.name === name || name.toLowerCase().startsWith(`${service.name}.`),
  );
  if (found === undefined) return fail(unknownService(name, status));
  if (found.task) return fail(problem('MESH-X105', { message: `${name} is a task and takes no requests` }));
  if (found.protocol !== 'tcp') return ok(found.name);
  const variable = `${found.name.toUpperCase().replaceAll('-', '_')}_SERVICE_PORT`;
  const hint = `its callers connect to the port in ${variable}; \`mesh explain --from SERVICE --to ${found.name}\` shows it`;
  return fail(problem('MESH-X105', { message: `${name} speaks TCP, not HTTP`, hint }));
}

function unknownService(name: string, { services }: MeshStatus) {
  const shown = name.length > 60 ? `${name.slice(0, 60)}...` : name;
  const hint = suggest(
    name,
    services.map((service) => service.name),
    'there is none at all',
  );
  return problem('MESH-U103', { message: `there is no service \`${plain(shown)}\``, hint });
}

/** Text, `@file`, or `-` for standard input; files are sent as they are read. */
async function bodyOf(data: string | undefined, stdin: Readable): Promise<Result<Buffer | Readable | null>> {
  if (data === undefined) return ok(null);
  if (data === '-' || data === '@-') return ok(stdin);
  if (!data.startsWith('@')) return ok(Buffer.from(data, 'utf8'));
  const file = data.slice(1);
  try {
    await access(file, constants.R_OK);
  } catch (error) {
    const message = `${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}`;
    return fail(problem('MESH-U102', { message, hint: '-d @FILE sends a file, -d - standard input' }));
  }
  return ok(createReadStream(file));
}

function isJson(body: Buffer): boolean {
  try {
    return typeof JSON.parse(body.toString('utf8')) === 'object';
  } catch {
    return false;
  }
}

/** Spans of both sides are there after so long, or not at all. */
const KEPT_WITHIN_MS = 3_000;
const LOOK_INTERVAL_MS = 100;

/** What became of a request that was sent. Where nothing of it is kept: what would become of it, with the reason. */
export async function explainSent(client: ControlClient, sent: ServiceRequest): Promise<Result<Explanation>> {
  const headers = sent.headers.map(([name, value]): [string, string] => [name, value]);
  const deadline = performance.now() + KEPT_WITHIN_MS;
  let last: Result<Explanation> | null = null;
  while (sent.traceId !== null && performance.now() < deadline) {
    last = await client.explain({ ...NO_QUERY, id: sent.traceId, headers, headersKnown: true });
    // The called side's part comes on its own: with it the time is told in more parts.
    if (last.ok && last.value.outcome!.timing.length > 2) return last;
    if (last.ok && last.value.endpoints === null) return last;
    await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL_MS));
  }
  if (last?.ok === true) return last;
  const host = headers.find(([name]) => name.toLowerCase() === 'host')?.[1] ?? sent.to;
  const { method, path, from } = sent;
  const might = await client.explain({
    ...NO_QUERY,
    from: from.id,
    to: host === sent.to ? sent.to : host,
    method,
    path,
    headers,
    headersKnown: true,
  });
  if (!might.ok) return might;
  const why =
    last === null ? 'it has a traceparent that is not valid' : (last.problems[0].hint ?? last.problems[0].message);
  return ok({
    ...might.value,
    notes: [...might.value.notes, `what happened is not kept (${why}): this is what would happen`],
  });
}
