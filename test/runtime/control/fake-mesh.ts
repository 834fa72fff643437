import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { RequestEvent, StatRow, TapBatch } from '../../../src/model/events.ts';
import type { InjectionStatus } from '../../../src/model/injection.ts';
import { fail, ok } from '../../../src/model/result.ts';
import type { CertificateStatus, LogLine, MeshStatus } from '../../../src/model/status.ts';
import type { Trace, TraceSummary } from '../../../src/model/trace.ts';
import type { MeshControl, MeshNotice } from '../../../src/runtime/control/mesh-control.ts';

export const shopStatus = (): MeshStatus => ({
  mesh: 'shop',
  state: 'running',
  pid: 4242,
  dataPlanePids: [4243],
  gateway: { http: 8080 },
  config: { version: 3, loadedAt: '2026-11-20T10:00:00.000Z', problems: [] },
  traffic: { requests: 12, activeRequests: 1, activeConnections: 2, flags: {}, refusedPeers: {}, telemetryDropped: {} },
  services: [
    {
      name: 'inventory',
      protocol: 'http',
      external: false,
      task: false,
      waitingFor: [],
      instances: [
        {
          id: 'inventory-1',
          subset: 'default',
          state: 'ready',
          reason: '',
          pid: 11,
          appPort: 3001,
          inboundPort: 3002,
          outboundPort: 3003,
          restarts: 0,
          startedAt: '2026-11-20T10:00:00.500Z',
          readyAfterMs: 412,
          spiffeId: 'spiffe://shop.local/ns/default/sa/inventory',
        },
      ],
    },
    {
      name: 'orders',
      protocol: 'grpc',
      external: false,
      task: false,
      waitingFor: ['inventory (ready)'],
      instances: [
        {
          id: 'orders-1',
          subset: 'default',
          state: 'starting',
          reason: 'waiting for inventory (ready)',
          pid: null,
          appPort: null,
          inboundPort: 3005,
          outboundPort: 3006,
          restarts: 2,
          startedAt: null,
          readyAfterMs: null,
          spiffeId: 'spiffe://shop.local/ns/default/sa/orders',
        },
      ],
    },
  ],
});

export const requestEvent = (part: Partial<RequestEvent> = {}): RequestEvent => ({
  id: '00f067aa0ba902b7',
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  parentSpanId: '',
  sampled: false,
  time: '2026-11-20T10:00:01.234Z',
  source: 'gateway',
  destination: 'orders',
  instance: 'orders-1',
  direction: 'outbound',
  protocol: 'http',
  method: 'GET',
  authority: 'shop.localhost',
  path: '/orders/1',
  route: 'orders',
  gatewayRoute: '',
  status: 200,
  grpcStatus: null,
  durationMs: 1.25,
  pickedAfterMs: 0.05,
  firstByteAfterMs: 1.125,
  requestBytes: 0,
  responseBytes: 27,
  retries: 0,
  responseFlags: '',
  tls: true,
  peer: 'spiffe://shop.local/ns/default/sa/orders',
  requestHeaders: [],
  responseHeaders: [],
  ...part,
});

export const statRow = (part: Partial<StatRow> = {}): StatRow => ({
  source: 'gateway',
  destination: 'orders',
  route: 'orders',
  gatewayRoute: '',
  subset: '',
  tls: true,
  requests: 120,
  requestsPerSecond: 2,
  failures: 3,
  successRate: 0.975,
  p50Ms: 1.5,
  p95Ms: 12,
  p99Ms: 250,
  active: 1,
  retries: 2,
  requestBytes: 0,
  responseBytes: 4096,
  ...part,
});

export const ordersInjection: InjectionStatus = {
  instance: 'orders-injected-1',
  service: 'orders',
  pid: 4711,
  host: '127.0.0.1',
  port: 9000,
  protocol: 'http',
  protocolFrom: 'HTTP/1.1',
  state: 'ready',
  inboundPort: 24101,
  outboundPort: 24102,
  spiffeId: 'spiffe://shop.local/ns/default/sa/orders',
  takeover: { kind: 'match', header: 'x-dev', value: 'me' },
  sticky: true,
  transparent: false,
  attach: false,
  injectedAt: '2026-01-02T03:04:05.678Z',
  environment: { PORT: '9000', http_proxy: 'http://127.0.0.1:24102' },
  coverage: [
    { direction: 'inbound', subject: '', covered: true, detail: '127.0.0.1:9000 via :24101, mutual TLS', fix: '' },
    { direction: 'outbound', subject: '', covered: false, detail: 'it runs already', fix: 'mesh inject -- node x.js' },
  ],
};

export const ordersCertificate: CertificateStatus = {
  service: 'orders',
  spiffeId: 'spiffe://shop.local/ns/default/sa/orders',
  serial: '0a1b',
  issuer: 'CN=shop intermediate',
  notBefore: '2026-11-20T10:00:00.000Z',
  notAfter: '2026-11-21T10:00:00.000Z',
  expiresInSeconds: 3600,
};

export const checkoutSummary: TraceSummary = {
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  time: '2026-11-20T10:00:02.500Z',
  durationMs: 12.25,
  service: 'gateway',
  name: 'GET /checkout',
  services: ['gateway', 'orders'],
  spans: 2,
  errors: 1,
};

export const checkoutTrace: Trace = {
  traceId: checkoutSummary.traceId,
  resourceSpans: [
    {
      resource: { attributes: [{ key: 'service.name', value: { stringValue: 'orders' } }] },
      scopeSpans: [
        {
          scope: { name: 'checkout', version: '1.0' },
          spans: [
            {
              traceId: checkoutSummary.traceId,
              spanId: '00f067aa0ba902b7',
              name: 'charge',
              kind: 1,
              startTimeUnixNano: '1700000000123456789',
              endTimeUnixNano: '1700000000123999999',
              attributes: [{ key: 'amount', value: { intValue: '9007199254740993' } }],
            },
          ],
        },
      ],
    },
  ],
  resourceLogs: [
    { scopeLogs: [{ logRecords: [{ body: { stringValue: 'charged' }, traceId: checkoutSummary.traceId }] }] },
  ],
  cuts: [
    {
      service: 'orders',
      instance: 'orders-1',
      where: 'after',
      spanId: '00f067aa0ba902b7',
      traceIds: ['0af7651916cd43dd8448eb211c80319c'],
      traces: 1,
    },
    { service: 'web', instance: 'web-1', where: 'before', spanId: 'b7ad6b7169203331', traceIds: [], traces: 0 },
  ],
};

export interface FakeMesh extends MeshControl {
  current: MeshStatus;
  lines: LogLine[];
  /** Names of the operations called, with their arguments. */
  readonly calls: string[];
  setStatus(status: MeshStatus): void;
  notify(notice: MeshNotice): void;
  append(line: LogLine): void;
  /** What operations answer for a service of this name. */
  refuse: string | null;
  /** Lines `down` reports, and what happens before it answers. */
  downProgress: string[];
  downGate: Promise<void>;
  /** What `stats` answers. */
  rows: StatRow[];
  /** Delivers a batch to every tap. */
  tapped(batch: Partial<TapBatch>): void;
  readonly taps: number;
  statusListeners: number;
  logReaders: number;
}

export function fakeMesh(status: MeshStatus = shopStatus()): FakeMesh {
  const statusListeners = new Set<(status: MeshStatus) => void>();
  const noticeListeners = new Set<(notice: MeshNotice) => void>();
  const logListeners = new Set<() => void>();
  const taps = new Set<(batch: TapBatch) => void>();
  const operate = async (call: string, service: string) => {
    mesh.calls.push(call);
    return service === mesh.refuse
      ? fail({ code: 'MESH-S404', message: `there is no service ${service}`, hint: 'did you mean `orders`?' })
      : ok(undefined);
  };
  const mesh: FakeMesh = {
    current: status,
    lines: [],
    calls: [],
    refuse: null,
    downProgress: [],
    downGate: Promise.resolve(),
    rows: [],
    tapped(batch) {
      for (const deliver of taps) deliver({ events: [], dropped: 0, filtered: 0, ...batch });
    },
    get taps() {
      return taps.size;
    },
    get statusListeners() {
      return statusListeners.size;
    },
    get logReaders() {
      return logListeners.size;
    },
    setStatus(next) {
      mesh.current = next;
      for (const listener of statusListeners) listener(next);
    },
    notify(notice) {
      for (const listener of noticeListeners) listener(notice);
    },
    append(line) {
      mesh.lines.push(line);
      for (const listener of logListeners) listener();
    },
    status: () => mesh.current,
    watchStatus(listener) {
      listener(mesh.current);
      statusListeners.add(listener);
      return () => statusListeners.delete(listener);
    },
    watchNotices(listener) {
      noticeListeners.add(listener);
      return () => noticeListeners.delete(listener);
    },
    async *logs(query, signal) {
      mesh.calls.push(`logs ${JSON.stringify(query)}`);
      const wanted = (line: LogLine) => query.services.length === 0 || query.services.includes(line.service);
      let next = query.tail === null ? 0 : Math.max(0, mesh.lines.length - query.tail);
      while (!signal.aborted) {
        const batch = mesh.lines.slice(next).filter(wanted);
        next = mesh.lines.length;
        if (batch.length > 0) yield batch;
        if (!query.follow) return;
        await new Promise<void>((resolve) => {
          const wake = () => {
            logListeners.delete(wake);
            signal.removeEventListener('abort', wake);
            resolve();
          };
          logListeners.add(wake);
          signal.addEventListener('abort', wake);
          if (next < mesh.lines.length) wake();
        });
      }
    },
    async *tap(filter, signal) {
      mesh.calls.push(`tap ${JSON.stringify(filter)}`);
      const waiting: TapBatch[] = [];
      let wake = () => {};
      const deliver = (batch: TapBatch) => {
        waiting.push(batch);
        wake();
      };
      taps.add(deliver);
      try {
        while (!signal.aborted) {
          const batch = waiting.shift();
          if (batch !== undefined) yield batch;
          else {
            await new Promise<void>((resolve) => {
              wake = resolve;
              signal.addEventListener('abort', () => resolve(), { once: true });
            });
          }
        }
      } finally {
        taps.delete(deliver);
      }
    },
    stats(windowMs, by = 'each') {
      mesh.calls.push(`stats ${windowMs} ${by}`);
      return mesh.rows;
    },
    watchStats(windowMs, listener, by) {
      listener(mesh.stats(windowMs, by));
      const timer = setInterval(() => listener(mesh.rows), 20);
      return () => clearInterval(timer);
    },
    async traces(query) {
      mesh.calls.push(`traces ${JSON.stringify(query)}`);
      return [checkoutSummary];
    },
    async trace(id) {
      const found = checkoutTrace.traceId.startsWith(id);
      return found ? ok(checkoutTrace) : fail({ code: 'MESH-R140', message: `there is no trace ${id}` });
    },
    async explain(query) {
      mesh.calls.push(`explain ${JSON.stringify(query)}`);
      return fail({ code: 'MESH-X101', message: `no request and no trace with the ID ${query.id} is kept` });
    },
    start: (service) => operate(`start ${service}`, service),
    stop: (service) => operate(`stop ${service}`, service),
    restart: (service) => operate(`restart ${service}`, service),
    scale: (service, subset, replicas) => operate(`scale ${service} ${subset} ${replicas}`, service),
    routes: () => [
      {
        table: 'gateway',
        name: 'gateway-1',
        source: 'mesh.config.ts:9',
        hosts: ['shop.localhost'],
        matches: ['path prefix /api/orders'],
        backends: [
          { service: 'orders', subset: null, weight: 3, share: 0.75 },
          { service: 'inventory', subset: 'canary', weight: 1, share: 0.25 },
        ],
        timeoutMs: 15_000,
        retries: 2,
      },
    ],
    endpoints: () => [
      {
        service: 'orders',
        instance: 'orders-1',
        subset: 'default',
        address: '127.0.0.1:3005',
        state: 'draining',
        weight: 1,
      },
    ],
    certificates: () => [ordersCertificate],
    async rotateCertificates(service) {
      mesh.calls.push(`rotate ${service}`);
      if (service !== null && service === mesh.refuse) {
        return fail({ code: 'MESH-S404', message: `there is no service ${service}` });
      }
      return ok([{ ...ordersCertificate, serial: '0a1c' }]);
    },
    async inject(request) {
      mesh.calls.push(`inject ${request.service}`);
      if (request.service === mesh.refuse)
        return fail({ code: 'MESH-J106', message: `${request.service} is taken`, hint: 'use --takeover' });
      return ok({ ...ordersInjection, service: request.service, takeover: request.takeover });
    },
    async updateInjection(instance, { pid }) {
      mesh.calls.push(`update ${instance} ${pid}`);
      return ok(undefined);
    },
    async eject(name) {
      mesh.calls.push(`eject ${name}`);
      if (name !== null && name === mesh.refuse)
        return fail({ code: 'MESH-J110', message: `nothing is injected as ${name}` });
      return ok([ordersInjection.instance]);
    },
    injections: () => [ordersInjection],
    databases: {
      async access(name, as) {
        mesh.calls.push(`database ${name} ${as}`);
        if (name === mesh.refuse) return fail({ code: 'MESH-D117', message: `there is no database ${name}` });
        const login = 'postgres://mesh:secret@127.0.0.1';
        return ok({ name, url: as === 'nobody' ? null : `${login}:1/db`, as: as ?? '', directUrl: `${login}:2/db` });
      },
      async reset(name) {
        mesh.calls.push(`reset ${name}`);
        return ok(undefined);
      },
      async migrate(name) {
        mesh.calls.push(`migrate ${name}`);
        return name === mesh.refuse ? fail({ code: 'MESH-D110', message: 'a migration failed' }) : ok(undefined);
      },
    },
    async down(timeoutMs, progress) {
      mesh.calls.push(`down ${timeoutMs}`);
      for (const line of mesh.downProgress) progress(line);
      await mesh.downGate;
      return ok(undefined);
    },
  };
  return mesh;
}

/** A directory of its own for one test; short, since a socket's path has to fit into it. */
export async function temporaryDirectory(): Promise<{ path: string; [Symbol.asyncDispose](): Promise<void> }> {
  const directory = await mkdtemp(path.join(tmpdir(), 'mesh-'));
  return { path: directory, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) };
}

/** Polls until the condition holds; fails with the description after the deadline. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, deadlineMs = 5_000) {
  const end = Date.now() + deadlineMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
