import { describe, expect, it } from 'vitest';
import type { ServiceConfig } from '../../../src/model/config.ts';
import { resolveConfig } from '../../../src/model/resolve.ts';
import type { ServiceStatus } from '../../../src/model/status.ts';
import { servicesWithoutReceiver } from '../../../src/runtime/tracing/late-receiver.ts';

function config(services: Record<string, ServiceConfig>) {
  const result = resolveConfig({ version: 1, name: 'shop', services }, { baseDir: '/shop' });
  if (!result.ok) throw new Error(result.problems[0].message);
  return result.value;
}

const running = (name: string, pid: number | null = 7, part: Partial<ServiceStatus> = {}): ServiceStatus => ({
  name,
  protocol: 'http',
  external: false,
  task: false,
  waitingFor: [],
  instances: [{ pid } as ServiceStatus['instances'][number]],
  ...part,
});

describe('services that were started without a receiver', () => {
  const mesh = config({ web: { command: 'x' }, orders: { command: 'x' } });

  it('are named with the command that helps', () => {
    expect(servicesWithoutReceiver([running('web'), running('orders')], mesh, mesh)).toMatchObject({
      code: 'MESH-T104',
      severity: 'warning',
      message: 'traces are on for the proxies; web, orders do not send spans, since they were started without',
      hint: '`mesh restart web orders` gives them OTEL_EXPORTER_OTLP_ENDPOINT',
    });
    expect(servicesWithoutReceiver([running('web')], mesh, mesh)!.message).toContain('web does not send spans');
  });

  it('are none that do not run, start anew anyway, or send somewhere else', () => {
    const changed = config({
      web: { command: 'y' },
      orders: { command: 'x', env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' } },
    });
    expect(servicesWithoutReceiver([running('web', null)], mesh, mesh)).toBeNull();
    expect(servicesWithoutReceiver([running('web'), running('orders'), running('gone')], mesh, changed)).toBeNull();
    expect(
      servicesWithoutReceiver(
        [running('web', 7, { task: true }), running('orders', 7, { external: true })],
        mesh,
        mesh,
      ),
    ).toBeNull();
  });
});
