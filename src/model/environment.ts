import type { InstanceState } from './compile.ts';
import type { ResolvedConfig } from './resolved.ts';

export interface EnvironmentInput {
  readonly config: ResolvedConfig;
  /** Name of the service. */
  readonly service: string;
  readonly subset: string;
  /** Name of the instance: `orders-1`. */
  readonly instance: string;
  readonly ports: InstanceState['ports'];
  /** Variables that do not follow from the ports: CA bundles, telemetry. */
  readonly extra?: Readonly<Record<string, string>>;
  /** What the service's `envFile`s say, later ones already on top. */
  readonly files?: Readonly<Record<string, string>>;
}

/**
 * The environment of an instance, to be laid over what mesh itself was started with. From weak to strong: what mesh
 * derives from ports, `extra`, env files, the service's `env`, that of its subset; PORT and the names of service and
 * instance are facts and win over all.
 */
export function serviceEnvironment(input: EnvironmentInput): Record<string, string> {
  const { config, service: name, subset, instance, ports, extra, files } = input;
  const service = config.services[name];
  const env: Record<string, string> = { OTEL_SERVICE_NAME: name, ...proxyVariables(ports.outbound) };
  for (const { service: dependency } of service.dependsOn) {
    // A task of ours is waited for, never called.
    if (config.services[dependency]?.resource?.kind === 'migrations') continue;
    const port = ports.dependencies[dependency];
    if (port !== undefined) Object.assign(env, addressVariables(dependency, schemeOf(config, dependency), port));
  }
  Object.assign(env, extra, files, service.env, service.subsets.find((s) => s.name === subset)?.env);
  env.MESH_SERVICE = name;
  env.MESH_INSTANCE = instance;
  // A task takes no requests: a port that nobody asks on would only mislead it.
  if (ports.app !== null) env.PORT = String(ports.app);
  else delete env.PORT;
  return env;
}

/** Programs that honour them reach services by name: `http://orders/`. */
function proxyVariables(outbound: number): Record<string, string> {
  const proxy = `http://127.0.0.1:${outbound}`;
  const direct = 'localhost,127.0.0.1,::1';
  return { http_proxy: proxy, HTTP_PROXY: proxy, grpc_proxy: proxy, no_proxy: direct, NO_PROXY: direct };
}

/** `http` also for gRPC and HTTP/2: that is what their clients take for "without TLS". */
function schemeOf(config: ResolvedConfig, dependency: string): 'http' | 'https' | 'tcp' {
  if (dependency === 'gateway') return config.gateway !== null && config.gateway.http === null ? 'https' : 'http';
  return config.services[dependency]?.protocol === 'tcp' ? 'tcp' : 'http';
}

/** An address in the forms of mesh (`ORDERS_URL`), .NET Aspire (`services__orders__http__0`) and Kubernetes. */
function addressVariables(name: string, scheme: string, port: number): Record<string, string> {
  const upper = name.toUpperCase().replaceAll('-', '_');
  const url = `${scheme}://127.0.0.1:${port}`;
  return {
    [`${upper}_URL`]: url,
    [`services__${name}__${scheme}__0`]: url,
    [`${upper}_SERVICE_HOST`]: '127.0.0.1',
    [`${upper}_SERVICE_PORT`]: String(port),
  };
}
