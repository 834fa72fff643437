import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { cleanUpMeshes, createMesh, eventually, freePort } from '../support/e2e.ts';
import { ECHO, echo, routesTo } from '../support/e2e-services.ts';
import { get, getJson } from '../support/e2e-traffic.ts';
import { findTool, skipped } from '../support/tools.ts';

const PROMETHEUS = findTool('prometheus');

let server: ChildProcess | null = null;
let directory = '';
afterEach(async () => {
  if (server !== null && server.exitCode === null) {
    const ended = new Promise((resolve) => server!.once('exit', resolve));
    server.kill('SIGKILL');
    await ended;
  }
  server = null;
  if (directory !== '') await rm(directory, { recursive: true, force: true });
});
cleanUpMeshes();

interface Sample {
  metric: Record<string, string>;
  value: [number, string];
}

/** A Prometheus of the test's own that scrapes one target. @returns asks its HTTP API for the value of an expression now */
async function startPrometheus(target: number): Promise<(query: string) => Promise<Sample[]>> {
  directory = await mkdtemp(path.join(tmpdir(), 'mesh-prometheus-'));
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s' },
    scrape_configs: [{ job_name: 'mesh', static_configs: [{ targets: [`127.0.0.1:${target}`] }] }],
  };
  // YAML takes JSON as it is.
  await writeFile(path.join(directory, 'prometheus.yml'), JSON.stringify(config));
  const port = await freePort();
  let output = '';
  server = spawn(
    PROMETHEUS!,
    [
      `--config.file=${path.join(directory, 'prometheus.yml')}`,
      `--storage.tsdb.path=${path.join(directory, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  server.stderr!.setEncoding('utf8').on('data', (text: string) => (output += text));
  await eventually(async () => {
    if (server!.exitCode !== null) throw new Error(`prometheus ended: ${output}`);
    return (await get(port, '/-/ready').catch(() => null))?.status === 200;
  }, 30_000);
  return async (query) => {
    const reply = await getJson<{ status: string; data: { result: Sample[] } }>(
      port,
      `/api/v1/query?query=${encodeURIComponent(query)}`,
    );
    expect(reply.status).toBe('success');
    return reply.data.result;
  };
}

describe('a real Prometheus', () => {
  it.skipIf(PROMETHEUS === null && skipped('no prometheus'))(
    'scrapes a mesh and answers for its rates, quantiles and certificates',
    async () => {
      const admin = await freePort();
      const mesh = await createMesh(
        { 'echo.mjs': ECHO },
        {
          gateway: { routes: routesTo('web', 'api') },
          telemetry: { admin },
          services: { web: echo({ dependsOn: ['api'] }), api: echo() },
        },
      );
      await mesh.up();
      const query = await startPrometheus(admin);
      const one = async (expression: string): Promise<number | null> => {
        const result = await query(expression);
        expect(result.length, expression).toBeLessThanOrEqual(1);
        return result.length === 0 ? null : Number(result[0].value[1]);
      };
      await eventually(async () => (await one('up{job="mesh"}')) === 1, 30_000);

      const requests = 20;
      for (let i = 0; i < requests; i++) {
        expect((await get(mesh.gatewayPort, '/web/call?env=API_URL&path=/slow%3Fms%3D20')).status).toBe(200);
      }
      expect((await get(mesh.gatewayPort, '/nowhere')).status).toBe(404);
      const toWeb = 'request_total{direction="outbound",source="gateway",destination="web"}';
      await eventually(async () => (await one(toWeb)) === requests, 30_000);
      // What both sides of a hop count, and every edge, agrees.
      await eventually(
        async () => (await one('sum(request_total{direction="inbound",destination="api"})')) === requests,
      );
      expect((await query(toWeb))[0].metric).toMatchObject({
        route: 'web',
        gateway_route: 'gateway-1',
        tls: 'true',
        job: 'mesh',
      });
      expect(await one(`sum(response_total{direction="outbound",destination="web",classification="success"})`)).toBe(
        requests,
      );
      expect(await one('sum(response_total{destination="",status_code="4xx"})')).toBe(1);
      // Each took 20 ms and more: the median lies in a bucket beyond.
      const quantile = await one(
        'histogram_quantile(0.5, sum by (le) (response_latency_ms_bucket{direction="outbound",destination="api"}))',
      );
      expect(quantile).toBeGreaterThan(20);
      expect(quantile).toBeLessThan(1_000);
      await eventually(async () => ((await one(`sum(rate(${toWeb}[1m]))`)) ?? 0) > 0, 30_000);

      const expiry = await query('identity_cert_expiration_timestamp_seconds - time()');
      expect(expiry.map(({ metric }) => metric.service).sort()).toEqual(
        expect.arrayContaining(['api', 'gateway', 'web']),
      );
      for (const { value } of expiry) expect(Number(value[1])).toBeGreaterThan(3_600);
      expect(await one('sum(service_instance_up)')).toBe(2);
      expect(await one('mesh_config_valid')).toBe(1);

      // No sample was refused, none came twice.
      const [{ value: scraped }] = await query('scrape_samples_scraped');
      const [{ value: kept }] = await query('scrape_samples_post_metric_relabeling');
      expect(kept[1]).toBe(scraped[1]);
    },
    120_000,
  );
});
