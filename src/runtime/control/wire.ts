/**
 * Between the model's types and the messages of control.proto. `...ToWire` defines the type of a message, `...FromWire`
 * takes it back; the round trip is a property test. A scalar that is null here is absent in the message.
 */
import type { Problem } from '../../model/result.ts';
import type {
  CertificateStatus,
  EndpointStatus,
  InstanceStatus,
  LogLine,
  MeshStatus,
  RouteStatus,
  ServiceStatus,
} from '../../model/status.ts';
import type { LogQuery, MeshNotice } from './mesh-control.ts';

/** google.protobuf.Timestamp */
interface WireTime {
  seconds: number;
  nanos: number;
}

/** RFC 3339 to a timestamp of millisecond precision. */
export function timeToWire(time: string): WireTime {
  const ms = Date.parse(time);
  if (Number.isNaN(ms)) return { seconds: 0, nanos: 0 };
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: (ms - seconds * 1000) * 1_000_000 };
}

export function timeFromWire(time: WireTime | null): string {
  return new Date(time === null ? 0 : time.seconds * 1000 + Math.round(time.nanos / 1_000_000)).toISOString();
}

/** `ready` to `STATE_READY`: names of enum values carry the enum's name, since proto scopes them to its parent. */
const enumToWire = (prefix: string, value: string): string => `${prefix}_${value.toUpperCase()}`;
const enumFromWire = <T extends string>(prefix: string, value: string): T =>
  value.slice(prefix.length + 1).toLowerCase() as T;

export function problemToWire(problem: Problem) {
  const { code, message, hint, path, file, line, column } = problem;
  const severity = enumToWire('SEVERITY', problem.severity ?? 'unspecified');
  return { code, message, hint, path, file, line, column, severity };
}

export function problemFromWire(wire: ReturnType<typeof problemToWire>): Problem {
  const problem: Problem = { code: wire.code, message: wire.message };
  if (wire.hint !== undefined) problem.hint = wire.hint;
  if (wire.path !== undefined) problem.path = wire.path;
  if (wire.file !== undefined) problem.file = wire.file;
  if (wire.line !== undefined) problem.line = wire.line;
  if (wire.column !== undefined) problem.column = wire.column;
  if (wire.severity !== 'SEVERITY_UNSPECIFIED') problem.severity = enumFromWire('SEVERITY', wire.severity);
  return problem;
}

function instanceToWire(instance: InstanceStatus) {
  return {
    ...instance,
    state: enumToWire('STATE', instance.state),
    startedAt: instance.startedAt === null ? null : timeToWire(instance.startedAt),
  };
}

function instanceFromWire(wire: ReturnType<typeof instanceToWire>): InstanceStatus {
  const instance: InstanceStatus = {
    id: wire.id,
    subset: wire.subset,
    state: enumFromWire('STATE', wire.state),
    reason: wire.reason,
    pid: wire.pid ?? null,
    appPort: wire.appPort ?? null,
    inboundPort: wire.inboundPort ?? null,
    outboundPort: wire.outboundPort ?? null,
    restarts: wire.restarts,
    startedAt: wire.startedAt === null ? null : timeFromWire(wire.startedAt),
    readyAfterMs: wire.readyAfterMs ?? null,
    spiffeId: wire.spiffeId,
  };
  if (wire.injected === true) instance.injected = true;
  return instance;
}

function serviceToWire(service: ServiceStatus) {
  return {
    ...service,
    protocol: enumToWire('PROTOCOL', service.protocol),
    instances: service.instances.map(instanceToWire),
  };
}

function serviceFromWire(wire: ReturnType<typeof serviceToWire>): ServiceStatus {
  return {
    name: wire.name,
    protocol: enumFromWire('PROTOCOL', wire.protocol),
    external: wire.external,
    task: wire.task,
    waitingFor: wire.waitingFor,
    instances: wire.instances.map(instanceFromWire),
  };
}

export function statusToWire(status: MeshStatus) {
  return {
    mesh: status.mesh,
    state: enumToWire('STATE', status.state),
    pid: status.pid,
    dataPlanePids: status.dataPlanePids,
    gateway: status.gateway,
    config: {
      version: status.config.version,
      loadedAt: timeToWire(status.config.loadedAt),
      problems: status.config.problems.map(problemToWire),
    },
    services: status.services.map(serviceToWire),
    traffic: { ...status.traffic },
  };
}

export function statusFromWire(wire: ReturnType<typeof statusToWire>): MeshStatus {
  const gateway: MeshStatus['gateway'] = {};
  if (wire.gateway.http !== undefined) gateway.http = wire.gateway.http;
  if (wire.gateway.https !== undefined) gateway.https = wire.gateway.https;
  return {
    mesh: wire.mesh,
    state: enumFromWire('STATE', wire.state),
    pid: wire.pid,
    dataPlanePids: wire.dataPlanePids,
    gateway,
    config: {
      version: wire.config.version,
      loadedAt: timeFromWire(wire.config.loadedAt),
      problems: wire.config.problems.map(problemFromWire),
    },
    services: wire.services.map(serviceFromWire),
    traffic: {
      ...wire.traffic,
      flags: { ...wire.traffic.flags },
      refusedPeers: { ...wire.traffic.refusedPeers },
      telemetryDropped: { ...wire.traffic.telemetryDropped },
    },
  };
}

export function noticeToWire(notice: MeshNotice) {
  return {
    time: timeToWire(notice.time),
    level: enumToWire('LEVEL', notice.level),
    service: notice.service,
    text: notice.text,
    problems: notice.problems.map(problemToWire),
  };
}

export function noticeFromWire(wire: ReturnType<typeof noticeToWire>): MeshNotice {
  return {
    time: timeFromWire(wire.time),
    level: enumFromWire('LEVEL', wire.level),
    service: wire.service,
    text: wire.text,
    problems: wire.problems.map(problemFromWire),
  };
}

export function logQueryToWire(query: LogQuery) {
  return {
    services: query.services,
    tail: query.tail,
    since: query.sinceMs === null ? null : timeToWire(new Date(query.sinceMs).toISOString()),
    follow: query.follow,
  };
}

export function logQueryFromWire(wire: ReturnType<typeof logQueryToWire>): LogQuery {
  return {
    services: wire.services,
    tail: wire.tail ?? null,
    sinceMs: wire.since === null ? null : Date.parse(timeFromWire(wire.since)),
    follow: wire.follow,
  };
}

export function logLineToWire(line: LogLine) {
  return { ...line, time: timeToWire(line.time), stream: enumToWire('STREAM', line.stream) };
}

export function logLineFromWire(wire: ReturnType<typeof logLineToWire>): LogLine {
  return {
    time: timeFromWire(wire.time),
    service: wire.service,
    instance: wire.instance,
    stream: enumFromWire('STREAM', wire.stream),
    text: wire.text,
  };
}

/** Nothing in it differs from the model but absent subsets. */
export function routeFromWire(wire: RouteStatus): RouteStatus {
  return {
    table: wire.table,
    name: wire.name,
    source: wire.source,
    hosts: wire.hosts,
    matches: wire.matches,
    backends: wire.backends.map(({ service, subset, weight, share }) => ({
      service,
      subset: subset ?? null,
      weight,
      share,
    })),
    timeoutMs: wire.timeoutMs,
    retries: wire.retries,
  };
}

export function endpointToWire(endpoint: EndpointStatus) {
  return { ...endpoint, state: enumToWire('STATE', endpoint.state) };
}

export function endpointFromWire(wire: ReturnType<typeof endpointToWire>): EndpointStatus {
  const { service, instance, subset, address, weight } = wire;
  return { service, instance, subset, address, state: enumFromWire('STATE', wire.state), weight };
}

export function certificateToWire(certificate: CertificateStatus) {
  return {
    ...certificate,
    notBefore: timeToWire(certificate.notBefore),
    notAfter: timeToWire(certificate.notAfter),
  };
}

export function certificateFromWire(wire: ReturnType<typeof certificateToWire>): CertificateStatus {
  return {
    service: wire.service,
    spiffeId: wire.spiffeId,
    serial: wire.serial,
    issuer: wire.issuer,
    notBefore: timeFromWire(wire.notBefore),
    notAfter: timeFromWire(wire.notAfter),
    expiresInSeconds: wire.expiresInSeconds,
  };
}
