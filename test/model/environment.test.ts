import { describe, expect, it } from 'vitest';
import type { GatewayConfig } from '../../src/model/config.ts';
import { type EnvironmentInput, serviceEnvironment } from '../../src/model/environment.ts';
import { resolveConfig } from '../../src/model/resolve.ts';

function input(
  over: Partial<EnvironmentInput> = {},
  gateway: GatewayConfig = { http: 8080, https: 8443, routes: [] },
): EnvironmentInput {
  const result = resolveConfig(
    {
      version: 1,
      name: 'shop',
      gateway,
      services: {
        web: {
          command: 'x',
          dependsOn: ['order-service', 'db', 'gateway'],
          env: { LEVEL: 'service', ORDER_SERVICE_URL: 'http://elsewhere', PORT: '1', MESH_SERVICE: 'x' },
          subsets: { canary: { env: { LEVEL: 'canary' } }, stable: {} },
        },
        'order-service': { command: 'x', protocol: 'grpc' },
        db: { external: 'tcp://127.0.0.1:5432' },
        other: { command: 'x' },
      },
    },
    { baseDir: '/' },
  );
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  const dependencies = { 'order-service': 4, db: 5, gateway: 8080 };
  const ports = { app: 1234, inbound: 2, outbound: 3, dependencies };
  return { config: result.value, service: 'web', subset: 'stable', instance: 'web-stable-1', ports, ...over };
}

describe('the environment of a service', () => {
  it('names its port, itself and its dependencies', () => {
    expect(serviceEnvironment(input())).toEqual({
      PORT: '1234',
      MESH_SERVICE: 'web',
      MESH_INSTANCE: 'web-stable-1',
      OTEL_SERVICE_NAME: 'web',
      http_proxy: 'http://127.0.0.1:3',
      HTTP_PROXY: 'http://127.0.0.1:3',
      grpc_proxy: 'http://127.0.0.1:3',
      no_proxy: 'localhost,127.0.0.1,::1',
      NO_PROXY: 'localhost,127.0.0.1,::1',
      LEVEL: 'service',
      ORDER_SERVICE_URL: 'http://elsewhere',
      'services__order-service__http__0': 'http://127.0.0.1:4',
      ORDER_SERVICE_SERVICE_HOST: '127.0.0.1',
      ORDER_SERVICE_SERVICE_PORT: '4',
      DB_URL: 'tcp://127.0.0.1:5',
      services__db__tcp__0: 'tcp://127.0.0.1:5',
      DB_SERVICE_HOST: '127.0.0.1',
      DB_SERVICE_PORT: '5',
      GATEWAY_URL: 'http://127.0.0.1:8080',
      services__gateway__http__0: 'http://127.0.0.1:8080',
      GATEWAY_SERVICE_HOST: '127.0.0.1',
      GATEWAY_SERVICE_PORT: '8080',
    });
  });

  it('is layered: derived, extra, files, service, subset', () => {
    const extra = { NODE_EXTRA_CA_CERTS: '/ca.pem', A: 'extra', LEVEL: 'extra', OTEL_SERVICE_NAME: 'extra' };
    const files = { A: 'file', LEVEL: 'file', PORT: '9' };
    const env = serviceEnvironment(input({ subset: 'canary', extra, files }));
    expect(env).toMatchObject({
      NODE_EXTRA_CA_CERTS: '/ca.pem',
      A: 'file',
      LEVEL: 'canary',
      OTEL_SERVICE_NAME: 'extra',
      PORT: '1234',
      MESH_SERVICE: 'web',
    });
  });

  it('has no port for what takes no requests', () => {
    const { ports } = input();
    expect(serviceEnvironment(input({ ports: { ...ports, app: null } }))).not.toHaveProperty('PORT');
  });

  it('leads to the HTTPS port of a gateway that has no other', () => {
    const { ports } = input();
    const env = serviceEnvironment(
      input({ ports: { ...ports, dependencies: { gateway: 8443 } } }, { https: 8443, routes: [] }),
    );
    expect(env).toMatchObject({
      GATEWAY_URL: 'https://127.0.0.1:8443',
      services__gateway__https__0: 'https://127.0.0.1:8443',
    });
  });

  it('has only declared dependencies', () => {
    expect(Object.keys(serviceEnvironment(input())).filter((name) => /other/i.test(name))).toEqual([]);
  });
});
