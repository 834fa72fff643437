import { describe, expect, it } from 'vitest';
import { attributeText, type OtlpSpan } from '../../src/model/otlp.ts';
import type { Trace, TraceSummary } from '../../src/model/trace.ts';
import { cleanUpMeshes, eventually, startMesh, type TestMesh } from '../support/e2e.ts';
import { routesTo } from '../support/e2e-services.ts';
import { get } from '../support/e2e-traffic.ts';

cleanUpMeshes();

/**
 * Calls its dependency, passing the trace on if PASSES_ON says so, and then sends a span of its own over OTLP with JSON,
 * as the variables of its environment say. `/fail` answers with 500.
 */
const SERVICE = `
import http from 'node:http';
import { randomBytes } from 'node:crypto';

const { API_URL, PASSES_ON, OTEL_EXPORTER_OTLP_ENDPOINT: collector, OTEL_EXPORTER_OTLP_PROTOCOL: protocol, OTEL_SERVICE_NAME: name } = process.env;
const nano = () => String(Date.now()) + '000000';
http.createServer(async (request, response) => {
  const [, traceId, parentSpanId] = (request.headers.traceparent ?? '').split('-');
  const spanId = randomBytes(8).toString('hex');
  const startTimeUnixNano = nano();
  console.log('serves ' + traceId);
  if (API_URL) await (await fetch(API_URL + '/items', { headers: PASSES_ON ? { traceparent: '00-' + traceId + '-' + spanId + '-01' } : {} })).text();
  if (PASSES_ON) {
    const attributes = [{ key: 'service.name', value: { stringValue: name } }];
    const span = { traceId, spanId, parentSpanId, name: 'show ' + protocol, kind: 1, startTimeUnixNano, endTimeUnixNano: nano() };
    const body = JSON.stringify({ resourceSpans: [{ resource: { attributes }, scopeSpans: [{ spans: [span] }] }] });
    await fetch(collector + '/v1/traces', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  }
  response.statusCode = request.url.endsWith('/fail') ? 500 : 200;
  response.end('done');
}).listen(Number(process.env.PORT), '127.0.0.1');
`;

const service = (fields: object = {}) => ({ command: ['node', 'service.mjs'], ...fields });

const spansOf = (trace: Trace): (OtlpSpan & { service: string })[] =>
  trace.resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans!.flatMap(({ spans }) =>
      spans!.map((span) => ({ ...span, service: attributeText(resource?.attributes, 'service.name') })),
    ),
  );

async function tracesWhen(
  mesh: TestMesh,
  wanted: (traces: TraceSummary[]) => boolean,
  ...flags: string[]
): Promise<TraceSummary[]> {
  let traces: TraceSummary[] = [];
  const look = async () => {
    ({ traces } = await mesh.json<{ traces: TraceSummary[] }>('trace', ...flags));
    return wanted(traces);
  };
  await eventually(look, 15_000, () => JSON.stringify(traces, null, 1));
  return traces;
}

describe('traces', () => {
  it('join what proxies and services know of a request, outlive the daemon, and name who cuts them', async () => {
    const mesh = await startMesh(
      { 'service.mjs': SERVICE },
      {
        services: {
          web: service({ env: { PASSES_ON: '1' }, dependsOn: ['api'] }),
          deaf: service({ dependsOn: ['api'] }),
          api: service(),
        },
        gateway: { routes: routesTo('web', 'deaf') },
      },
    );
    expect((await get(mesh.gatewayPort, '/web/shop')).status).toBe(200);
    const [summary] = await tracesWhen(mesh, ([first]) => first?.spans === 5);
    expect(summary).toMatchObject({
      service: 'gateway',
      name: 'GET /web/shop',
      services: ['api', 'gateway', 'web'],
      errors: 0,
    });

    const trace = await mesh.json<Trace>('trace', summary.traceId.slice(0, 10));
    const spans = spansOf(trace);
    const byKind = (of: string, kind: number) => spans.find((span) => span.service === of && span.kind === kind)!;
    // gateway -> web's inbound proxy -> what web sent -> web's outbound proxy -> api's inbound proxy
    const chain = [byKind('gateway', 3), byKind('web', 2), byKind('web', 1), byKind('web', 3), byKind('api', 2)];
    expect(spans).toHaveLength(5);
    expect(chain[0].parentSpanId).toBeUndefined();
    for (const [at, span] of chain.entries()) {
      expect(span.traceId).toBe(summary.traceId);
      if (at > 0) expect(span.parentSpanId).toBe(chain[at - 1].spanId);
    }
    expect(chain[2].name).toBe('show http/protobuf');
    expect(trace.cuts).toEqual([]);
    const text = await mesh.mesh('trace', summary.traceId);
    expect(text).toMatchObject({ code: 0 });
    expect(text.stdout).toMatch(/GET \/items → api/);
    expect(text.stdout).toContain(`│ serves ${summary.traceId}`);

    // A service that begins a new trace with each call.
    await get(mesh.gatewayPort, '/deaf/shop');
    const parts = await tracesWhen(mesh, (traces) => traces.length === 2, '--service', 'deaf');
    const outer = parts.find((part) => part.service === 'gateway')!;
    const { cuts } = await mesh.json<Trace>('trace', outer.traceId);
    expect(cuts).toMatchObject([
      {
        service: 'deaf',
        instance: 'deaf-1',
        where: 'after',
        traceIds: [parts.find((part) => part !== outer)!.traceId],
      },
    ]);

    // Another daemon finds what the one before kept.
    expect(await mesh.down()).toMatchObject({ code: 0 });
    await mesh.up();
    expect((await tracesWhen(mesh, (traces) => traces.length >= 3)).map(({ traceId }) => traceId)).toContain(
      summary.traceId,
    );
    expect(spansOf(await mesh.json<Trace>('trace', summary.traceId))).toHaveLength(5);
    const missing = await mesh.mesh('trace', 'ffffffffff');
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('MESH-R140') });
  });

  it('of what failed are kept when no other is, and none when they are off', async () => {
    const config = (telemetry: object) => ({
      telemetry,
      services: { api: service() },
      gateway: { routes: routesTo('api') },
    });
    const mesh = await startMesh({ 'service.mjs': SERVICE }, config({ traces: { sample: 0, slow: '0s' } }));
    await get(mesh.gatewayPort, '/api/fine');
    expect((await get(mesh.gatewayPort, '/api/fail')).status).toBe(500);
    const [failed] = await tracesWhen(mesh, (traces) => traces.length > 0);
    expect(failed).toMatchObject({ name: 'GET /api/fail', errors: 2 });

    const reload = async (telemetry: object) => {
      const { loadedAt } = (await mesh.status()).config;
      mesh.config(config(telemetry));
      // Data planes are told what to report before the load counts as done.
      await mesh.statusWhen((status) => status.config.loadedAt !== loadedAt);
    };
    await reload({ traces: false });
    expect((await get(mesh.gatewayPort, '/api/off/fail')).status).toBe(500);
    await reload({ traces: { sample: 1 } });
    await get(mesh.gatewayPort, '/api/last');
    const names = (await tracesWhen(mesh, ([first]) => first.name === 'GET /api/last')).map(({ name }) => name);
    expect(names).toEqual(['GET /api/last', 'GET /api/fail']);
  });
});
