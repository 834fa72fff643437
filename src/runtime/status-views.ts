import type { Match, ValueMatch } from '../model/resolved.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { CertificateStatus, EndpointStatus, RouteStatus } from '../model/status.ts';
import type { ConfigSources } from './config/source-locations.ts';
import type { IssuedCertificate } from './identity/certificate-authority.ts';

/** The routes in force, for people and `--json`. */
export function routeStatus(snapshot: Snapshot, sources: ConfigSources): RouteStatus[] {
  return Object.values(snapshot.routes).flatMap((table) =>
    table.routes.map((route) => {
      const total = route.backends.reduce((sum, backend) => sum + backend.weight, 0);
      // A service that the configuration does not know stands nowhere in it.
      const at = route.path === '' ? undefined : sources.locate(route.path);
      return {
        table: table.service,
        name: route.name,
        source: at === undefined ? '' : `${at.file}:${at.line}`,
        hosts: route.hosts,
        matches: route.matches.map(describeMatch),
        backends: route.backends.map((backend) => ({ ...backend, share: total === 0 ? 0 : backend.weight / total })),
        timeoutMs: route.timeouts.requestMs,
        retries: route.retries?.attempts ?? 0,
      };
    }),
  );
}

export function endpointStatus(snapshot: Snapshot): EndpointStatus[] {
  return Object.values(snapshot.clusters).flatMap((cluster) =>
    cluster.endpoints.map((endpoint) => ({
      service: cluster.service,
      instance: endpoint.id,
      subset: endpoint.subset,
      address: `${endpoint.host}:${endpoint.port}`,
      state: endpoint.state,
      weight: endpoint.weight,
    })),
  );
}

export function certificateStatus(certificate: IssuedCertificate, now: number): CertificateStatus {
  return {
    service: certificate.service,
    spiffeId: certificate.spiffeId,
    serial: certificate.serial,
    issuer: certificate.issuer,
    notBefore: new Date(certificate.notBefore).toISOString(),
    notAfter: new Date(certificate.notAfter).toISOString(),
    expiresInSeconds: Math.floor((certificate.notAfter - now) / 1000),
  };
}

/** What a match asks for, for people. */
export function describeMatch(match: Match): string {
  const parts: string[] = [];
  if (match.path !== null) parts.push(`path ${match.path.kind} ${match.path.value}`);
  if (match.methods.length > 0) parts.push(`method ${match.methods.join(' or ')}`);
  for (const { name, match: value } of match.headers) parts.push(`header ${name} ${describeValue(value)}`);
  for (const { name, match: value } of match.query) parts.push(`query ${name} ${describeValue(value)}`);
  return parts.length === 0 ? 'everything' : parts.join(', ');
}

function describeValue(value: ValueMatch): string {
  if (value.kind === 'present') return value.value ? 'is present' : 'is absent';
  return `${value.kind === 'exact' ? 'is' : value.kind} ${value.value}`;
}
