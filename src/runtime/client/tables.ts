import type {
  CertificateStatus,
  EndpointStatus,
  InstanceStatus,
  MeshStatus,
  RouteStatus,
  ServiceStatus,
} from '../../model/status.ts';
import { renderProblem } from './render-problems.ts';
import { paintState, type Style } from './style.ts';
import { formatMs, table } from './text.ts';
import { gatewayUrls } from './urls.ts';

interface StatusRow {
  service: ServiceStatus;
  /** Null: a service without instances, scaled to nothing or external. */
  instance: InstanceStatus | null;
}

/** `mesh ps`: one line for the mesh, one for each instance with why it is not ready below it, then config problems. */
export function renderStatus(
  status: MeshStatus,
  style: Style,
  { columns, now, cwd }: { columns: number | null; now: number; cwd: string },
): string[] {
  const rows: StatusRow[] = status.services.flatMap((service): StatusRow[] =>
    service.instances.length === 0
      ? [{ service, instance: null }]
      : service.instances.map((instance) => ({ service, instance })),
  );
  const number = (value: number | null | undefined) => (value == null ? '-' : String(value));
  const lines = table(
    rows,
    [
      { title: 'INSTANCE', value: ({ service, instance }) => instance?.id ?? service.name, shrinkTo: 12 },
      {
        title: 'STATE',
        value: ({ service, instance }) => instance?.state ?? (service.external ? 'external' : 'none'),
        paint: (text, { instance }) => paintState(style, instance?.state ?? '', text),
      },
      { title: 'PROTO', value: ({ service }) => service.protocol },
      { title: 'PID', value: ({ instance }) => number(instance?.pid), align: 'right' },
      { title: 'PORT', value: ({ instance }) => number(instance?.appPort), align: 'right' },
      { title: 'RST', value: ({ instance }) => number(instance?.restarts ?? null), align: 'right' },
      { title: 'AGE', value: ({ instance }) => ageOf(instance, now), align: 'right' },
      {
        title: 'IDENTITY',
        value: ({ instance }) => identityPath(instance),
        shrinkTo: 10,
        paint: (text) => style.dim(text),
      },
    ],
    { columns, title: style.bold },
  );
  const [title, ...body] = lines;
  const withReasons = body.flatMap((line, index) => {
    const why = reasonOf(rows[index]);
    return why === '' ? [line] : [line, style.dim(`  └ ${why}`)];
  });
  const domain = rows.map(({ instance }) => /^spiffe:\/\/[^/]+/.exec(instance?.spiffeId ?? '')?.[0]).find(Boolean);
  const head = [status.mesh, paintState(style, status.state), `pid ${status.pid}`, ...gatewayUrls(status)];
  if (domain !== undefined) head.push(style.dim(domain));
  return [
    head.join('  '),
    '',
    ...(rows.length === 0 ? ['no services'] : [style.bold(title), ...withReasons]),
    ...refusals(status, style),
    ...configProblems(status, style, cwd),
  ];
}

function configProblems(status: MeshStatus, style: Style, cwd: string): string[] {
  const { problems, version } = status.config;
  if (problems.length === 0) return [];
  const failed = problems.some(({ severity }) => severity !== 'warning');
  const line = failed
    ? style.red(`mesh.config.ts was not applied; version ${version} stays in force`)
    : style.yellow('mesh.config.ts has warnings');
  return ['', line, ...problems.flatMap((problem) => renderProblem(problem, style, cwd))];
}

function ageOf(instance: InstanceStatus | null, now: number): string {
  if (instance === null || instance.startedAt === null || instance.pid === null) return '-';
  return formatMs(Math.max(0, Math.floor((now - Date.parse(instance.startedAt)) / 1000) * 1000)).replace('.0 ', ' ');
}

/** Without the trust domain, which is the same for all and stands in the first line. */
const identityPath = (instance: InstanceStatus | null): string =>
  instance === null ? '-' : instance.spiffeId.replace(/^spiffe:\/\/[^/]+/, '') || '-';

function reasonOf({ service, instance }: StatusRow): string {
  if (instance === null || instance.state === 'ready' || instance.state === 'completed') return instance?.reason ?? '';
  if (instance.reason !== '') return instance.reason;
  return service.waitingFor.length > 0 ? `waiting for ${service.waitingFor.join(', ')}` : '';
}

export function renderRoutes(
  routes: readonly RouteStatus[],
  style: Style,
  { columns, cwd }: { columns: number | null; cwd: string },
): string[] {
  if (routes.length === 0) return ['no routes'];
  return table(
    routes,
    [
      {
        title: 'TABLE',
        value: ({ table: owner }) => owner,
        paint: (text, { table: owner }) => style.ofName(owner, text),
      },
      { title: 'ROUTE', value: ({ name }) => name, shrinkTo: 10 },
      { title: 'MATCHES', value: matchText, shrinkTo: 10 },
      { title: 'BACKENDS', value: backendText, shrinkTo: 10 },
      { title: 'TIMEOUT', value: ({ timeoutMs }) => (timeoutMs === 0 ? '-' : formatMs(timeoutMs)), align: 'right' },
      { title: 'RETRIES', value: ({ retries }) => String(retries), align: 'right' },
      {
        title: 'SOURCE',
        value: ({ source }) => relativeTo(cwd, source),
        shrinkTo: 8,
        paint: (text) => style.dim(text),
      },
    ],
    { columns, title: style.bold },
  );
}

const relativeTo = (cwd: string, place: string): string =>
  place.startsWith(`${cwd}/`) ? place.slice(cwd.length + 1) : place;

function matchText({ hosts, matches }: RouteStatus): string {
  const what = matches.length === 0 ? 'every request' : matches.join(' or ');
  return hosts.length === 0 ? what : `${hosts.join(', ')}: ${what}`;
}

function backendText({ backends }: RouteStatus): string {
  if (backends.length === 0) return 'redirect';
  return backends
    .map(({ service, subset, share }) => {
      const name = subset === null ? service : `${service}/${subset}`;
      return backends.length === 1 ? name : `${name} ${Math.round(share * 1000) / 10}%`;
    })
    .join(', ');
}

export function renderEndpoints(endpoints: readonly EndpointStatus[], style: Style, columns: number | null): string[] {
  if (endpoints.length === 0) return ['no endpoints'];
  return table(
    endpoints,
    [
      { title: 'SERVICE', value: ({ service }) => service, paint: (text, row) => style.ofName(row.service, text) },
      { title: 'INSTANCE', value: ({ instance }) => instance, shrinkTo: 12 },
      { title: 'SUBSET', value: ({ subset }) => subset, shrinkTo: 8 },
      { title: 'ADDRESS', value: ({ address }) => address },
      { title: 'STATE', value: ({ state }) => state, paint: (text, { state }) => paintState(style, state, text) },
      { title: 'WEIGHT', value: ({ weight }) => String(weight), align: 'right' },
    ],
    { columns, title: style.bold },
  );
}

/** Seconds left under which an expiry is worth a colour. */
const SOON_SECONDS = 300;

export function renderCertificates(
  certificates: readonly CertificateStatus[],
  style: Style,
  columns: number | null,
): string[] {
  if (certificates.length === 0) return ['no certificates'];
  return table(
    certificates,
    [
      // The gateway also has a server certificate for browsers, which has none.
      { title: 'SPIFFE ID', value: ({ spiffeId, service }) => spiffeId || service, shrinkTo: 24 },
      { title: 'SERIAL', value: ({ serial }) => serial, shrinkTo: 8 },
      {
        title: 'EXPIRES',
        value: ({ expiresInSeconds }) =>
          expiresInSeconds <= 0 ? 'expired' : `in ${formatMs(Math.floor(expiresInSeconds) * 1000).replace('.0 ', ' ')}`,
        paint: (text, { expiresInSeconds }) =>
          expiresInSeconds <= 0 ? style.red(text) : expiresInSeconds < SOON_SECONDS ? style.yellow(text) : text,
      },
      { title: 'NOT AFTER', value: ({ notAfter }) => notAfter.replace('.000Z', 'Z'), shrinkTo: 20 },
      { title: 'ISSUER', value: ({ issuer }) => issuer, shrinkTo: 10, paint: (text) => style.dim(text) },
    ],
    { columns, title: style.bold },
  );
}

/** Peers that tried and were refused are worth a line: nothing else shows them. */
function refusals(status: MeshStatus, style: Style): string[] {
  const reasons = Object.entries(status.traffic.refusedPeers);
  if (reasons.length === 0) return [];
  const list = reasons.map(([reason, n]) => `${n} ${reason}`).join(', ');
  return ['', style.yellow(`peers refused by mutual TLS: ${list}`)];
}
