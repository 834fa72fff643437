import type { MeshConfig, ServiceConfig } from '../../../model/config.ts';

/** A first configuration, and what is to be said about it. */
export interface Draft {
  config: MeshConfig;
  /** Comments above a service, by its name. */
  comments: Readonly<Record<string, readonly string[]>>;
  /** Services that could not be taken over, as comments at the end. */
  leftOut: readonly string[];
}

/** Port of the gateway in a first configuration. */
const GATEWAY_PORT = 8080;
/** Names of the service that people look at, most telling first. */
const FRONT_DOORS = ['web', 'frontend', 'www', 'app', 'ui', 'site', 'api', 'server'];

/** An RFC 1123 label as names in mesh have to be; `gateway` is taken by the gateway itself. */
export function toName(text: string, fallback = 'service'): string {
  const label = text
    .replace(/^@[^/]*\//, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, '');
  if (label === '') return fallback;
  return label === 'gateway' ? 'gateway-service' : label;
}

/** Runs with a shell and `true`: for what listens on no port and so would never pass the default probe. */
export const NO_PORT: Pick<ServiceConfig, 'readiness'> = { readiness: { command: 'true' } };
export const NO_PORT_COMMENT = 'listens on no port, so it counts as ready once it runs';

/** @param candidates services that take HTTP requests. */
export function gatewayFor(candidates: readonly string[]): MeshConfig['gateway'] {
  const front = FRONT_DOORS.find((name) => candidates.includes(name)) ?? candidates[0];
  if (front === undefined) return undefined;
  return { http: GATEWAY_PORT, routes: [{ backends: [{ service: front }] }] };
}

/** Something that runs at once, where there is nothing to start from. */
export function exampleDraft(name: string): Draft {
  const server =
    "require('node:http').createServer((_, response) => response.end('hello from the mesh\\n')).listen(process.env.PORT, '127.0.0.1')";
  return {
    config: {
      version: 1,
      name,
      gateway: gatewayFor(['hello']),
      services: { hello: { command: ['node', '-e', server], readiness: { http: '/' } } },
    },
    comments: {
      hello: ['An example to begin with: `mesh up`, then http://localhost:8080. Put your own services in its place.'],
    },
    leftOut: [
      'What else a service can have, for example:',
      "orders: { command: 'node orders.js', cwd: 'orders', protocol: 'grpc', readiness: { grpc: {} }, replicas: 2 },",
      "web: { command: 'npm run dev', cwd: 'web', dependsOn: ['orders'], env: { LOG_LEVEL: 'debug' }, watch: ['src'] },",
      "migrate: { command: 'node migrate.js', task: true },",
      "search: { external: 'http://127.0.0.1:9200' },",
    ],
  };
}

/** The text of mesh.config.ts. */
export function renderDraft({ config, comments, leftOut }: Draft): string {
  const lines = ["import { defineMesh } from 'localmesh';", '', 'export default defineMesh({'];
  lines.push('  version: 1,', `  name: ${quote(config.name)},`);
  if (config.gateway !== undefined) {
    lines.push('  // The way in from outside; the name localhost works, and any under it.');
    lines.push(`  gateway: ${literal(config.gateway, 2)},`);
  }
  lines.push('  services: {');
  for (const [name, service] of Object.entries(config.services)) {
    for (const comment of comments[name] ?? []) lines.push(`    // ${comment}`);
    lines.push(`    ${key(name)}: ${literal(service, 4)},`);
  }
  if (leftOut.length > 0) {
    if (Object.keys(config.services).length > 0) lines.push('');
    for (const line of leftOut) lines.push(`    // ${line}`);
  }
  lines.push('  },', '});', '');
  return lines.join('\n');
}

/** Longest line for an object on one line. */
const LINE = 100;

function literal(value: unknown, indent: number): string {
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) {
    const items = value.map((item) => literal(item, indent + 2));
    const short = `[${items.join(', ')}]`;
    if (short.length + indent <= LINE && !short.includes('\n')) return short;
    return `[\n${items.map((item) => `${' '.repeat(indent + 2)}${item},\n`).join('')}${' '.repeat(indent)}]`;
  }
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .map(([name, field]) => `${key(name)}: ${literal(field, indent + 2)}`);
    const short = fields.length === 0 ? '{}' : `{ ${fields.join(', ')} }`;
    if (short.length + indent <= LINE && !short.includes('\n')) return short;
    return `{\n${fields.map((field) => `${' '.repeat(indent + 2)}${field},\n`).join('')}${' '.repeat(indent)}}`;
  }
  return String(value);
}

const key = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : quote(name));

/** Single quotes, or double ones where that saves escapes. */
const quote = (text: string): string => {
  const json = JSON.stringify(text);
  if (text.includes("'") && !text.includes('"')) return json;
  return `'${json.slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
};
