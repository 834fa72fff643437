import { describe, expect, it } from 'vitest';
import { codes } from '../../src/model/errors.ts';
import { validateConfig } from '../../src/model/validate.ts';

type Json = Record<string, unknown>;

/** A configuration without problems, with more laid over it. */
const mesh = (over: Json = {}, services: Json = {}): Json => ({
  version: 1,
  name: 'shop',
  services: { web: { command: 'node web.js' }, ...services },
  ...over,
});
const service = (over: Json): Json => mesh({}, { orders: { command: 'node orders.js', ...over } });
const route = (over: Json, more: Json = {}): Json => service({ routes: [over], ...more });
const gatewayRoute = (...routes: Json[]): Json => mesh({ gateway: { http: 8080, routes } });

/** `code path`, with `(warning)` where it is one. */
function found(input: unknown): string[] {
  return validateConfig(input).problems.map(
    ({ code, path, severity }) => `${code.slice(5)} ${path ?? ''}${severity === 'warning' ? ' (warning)' : ''}`,
  );
}

const promise = (): Promise<unknown> => new Promise(() => {});
const cyclic = (): Json => {
  const env: Json = {};
  env.self = env;
  return env;
};
const subsets = { stable: { env: { V: '1' } }, canary: {} };

/** What is written, then all that is said about it. */
const table: [what: string, input: unknown, expected: string[]][] = [
  ['a plain mesh', mesh(), []],
  ['no services', mesh({ services: {} }), []],

  // The whole
  ['a promise', promise(), ['C005 ']],
  // biome-ignore lint/suspicious/noThenProperty: that is what is tested
  ['a thenable', { then: () => undefined }, ['C005 ']],
  ['a function', () => mesh(), ['C006 ']],
  ['nothing', undefined, ['C007 ']],
  ['null', null, ['C007 ']],
  ['a list', [mesh()], ['C007 ']],
  ['text', 'version: 1', ['C007 ']],
  ['an empty object', {}, ['C103 version', 'C103 name', 'C103 services']],
  ['a version to come', mesh({ version: 2 }), ['C009 version']],

  // Values that are no data
  ['a promise for a service', mesh({}, { orders: promise() }), ['C005 services.orders']],
  ['a promise for all services', mesh({ services: promise() }), ['C005 services']],
  ['a function for a service', mesh({}, { orders: () => ({}) }), ['C006 services.orders']],
  ['a promise for a number', service({ replicas: promise() }), ['C005 services.orders.replicas']],
  ['a Map', service({ env: new Map([['A', 'b']]) }), ['C008 services.orders.env']],
  ['a Date', service({ command: new Date(0) }), ['C008 services.orders.command']],
  ['bigint', service({ port: 8080n }), ['C008 services.orders.port']],
  ['a symbol', service({ cwd: Symbol('x') }), ['C008 services.orders.cwd']],
  ['a circle of objects', service({ env: cyclic() }), ['C008 services.orders.env.self']],
  ['NaN', service({ replicas: Number.NaN }), ['C008 services.orders.replicas']],
  [
    'infinity',
    route({ backends: [{ weight: Number.POSITIVE_INFINITY }] }),
    ['C008 services.orders.routes[0].backends[0].weight'],
  ],

  // Single values
  [
    'two unknown keys',
    service({ comand: 'x', replica: 2 }),
    ['C101 services.orders.comand', 'C101 services.orders.replica'],
  ],
  ['an unknown key at the top', mesh({ sevices: {} }), ['C101 sevices']],
  [
    'an unknown key beside a broken one',
    service({ replicas: '2', x: 1 }),
    ['C102 services.orders.replicas', 'C101 services.orders.x'],
  ],
  ['connect of a route', route({ timeouts: { connect: '1s' } }), ['C101 services.orders.routes[0].timeouts.connect']],
  ['a number in quotes', service({ replicas: '2' }), ['C102 services.orders.replicas']],
  [
    'an environment of numbers',
    service({ env: { A: 1, B: true, C: null, D: 'd' } }),
    ['C102 services.orders.env.A', 'C102 services.orders.env.B', 'C102 services.orders.env.C'],
  ],
  ['a list for an object', service({ env: ['A=1'] }), ['C102 services.orders.env']],
  ['a service as text', mesh({}, { orders: 'node orders.js' }), ['C102 services.orders']],
  ['services as a list', mesh({ services: [{ name: 'web' }] }), ['C102 services']],
  ['a command of numbers', service({ command: ['node', 1] }), ['C102 services.orders.command[1]']],
  ['retries: true', service({ retries: true }), ['C102 services.orders.retries']],
  ['a NUL in an argument', service({ command: ['node', 'a\0b'] }), ['C102 services.orders.command[1]']],
  ['retries without attempts', service({ retries: { on: ['5xx'] } }), ['C103 services.orders.retries.attempts']],
  ['a gateway without routes', mesh({ gateway: { http: 8080 } }), ['C103 gateway.routes']],
  [
    'a gateway backend without service',
    gatewayRoute({ backends: [{ weight: 1 }] }),
    ['C103 gateway.routes[0].backends[0].service'],
  ],
  ['an unknown protocol', service({ protocol: 'htp' }), ['C104 services.orders.protocol']],
  ['an unknown condition', service({ dependsOn: { web: 'redy' } }), ['C104 services.orders.dependsOn.web']],
  ['an unknown balancer', service({ loadBalancer: 'least-requests' }), ['C104 services.orders.loadBalancer']],
  [
    'an unknown redirect',
    route({ filters: { redirect: { status: 300 } } }),
    ['C104 services.orders.routes[0].filters.redirect.status'],
  ],
  [
    'an unknown retry condition',
    service({ retries: { attempts: 1, on: ['5xx', '500'] } }),
    ['C104 services.orders.retries.on[1]'],
  ],
  ['an unknown signal', service({ stop: { signal: 'TERM' } }), ['C104 services.orders.stop.signal']],
  [
    'bad durations',
    service({ timeouts: { request: '10', idle: 10, connect: '1.5s' } }),
    [
      'C105 services.orders.timeouts.request',
      'C105 services.orders.timeouts.idle',
      'C105 services.orders.timeouts.connect',
    ],
  ],
  ['a port out of range', service({ port: 70_000 }), ['C107 services.orders.port']],
  ['port 0', mesh({ gateway: { http: 0, routes: [] } }), ['C107 gateway.http']],
  ['half an instance', service({ replicas: 1.5 }), ['C107 services.orders.replicas']],
  ['a negative weight', route({ backends: [{ weight: -1 }] }), ['C107 services.orders.routes[0].backends[0].weight']],
  ['too many attempts', service({ retries: { attempts: 101 } }), ['C107 services.orders.retries.attempts']],
  ['negative attempts', service({ retries: { attempts: -1 } }), ['C107 services.orders.retries.attempts']],
  ['an admin port out of range', mesh({ telemetry: { admin: 0 } }), ['C107 telemetry.admin']],
  ['an unknown log format', mesh({ telemetry: { accessLog: { format: 'xml' } } }), ['C104 telemetry.accessLog.format']],
  ['an access log as text', mesh({ telemetry: { accessLog: 'access.log' } }), ['C102 telemetry.accessLog']],
  [
    'a header to redact that is none',
    mesh({ telemetry: { redactHeaders: ['a b'] } }),
    ['C111 telemetry.redactHeaders[0]'],
  ],
  ['an access log of a service as text', service({ accessLog: 'no' }), ['C102 services.orders.accessLog']],
  [
    'an admin port that the gateway has',
    mesh({ telemetry: { admin: 8080 }, gateway: { http: 8080, routes: [] } }),
    ['C209 telemetry.admin'],
  ],
  ['no data plane', mesh({ proxies: 0 }), ['C107 proxies']],
  ['an upper-case service', mesh({}, { Orders: { command: 'x' } }), ['C108 services.Orders']],
  ['a service called gateway', mesh({}, { gateway: { command: 'x' } }), ['C108 services.gateway']],
  ['a service called constructor', mesh({}, { constructor: { command: 'x' } }), ['C108 services']],
  ['a bad mesh name', mesh({ name: 'my shop' }), ['C108 name']],
  [
    'a long subset name',
    service({ subsets: { ['a'.repeat(64)]: {} } }),
    [`C108 services.orders.subsets.${'a'.repeat(64)}`],
  ],
  ['a bad namespace', mesh({ namespace: 'a/b' }), ['C108 namespace']],
  [
    'two kinds of path',
    route({ matches: [{ path: { exact: '/a', prefix: '/b' } }] }),
    ['C109 services.orders.routes[0].matches[0].path'],
  ],
  ['no kind of path', route({ matches: [{ path: {} }] }), ['C109 services.orders.routes[0].matches[0].path']],
  [
    'an unknown kind of path',
    route({ matches: [{ path: { prefx: '/a' } }] }),
    ['C101 services.orders.routes[0].matches[0].path.prefx'],
  ],
  ['a probe of two actions', service({ readiness: { http: '/x', tcp: {} } }), ['C109 services.orders.readiness']],
  ['a probe of none', service({ liveness: { interval: '1s' } }), ['C109 services.orders.liveness']],
  [
    'a health check of two actions',
    service({ healthCheck: { http: '/x', tcp: true } }),
    ['C109 services.orders.healthCheck'],
  ],
  ['a health check of none', service({ healthCheck: { interval: '1s' } }), ['C109 services.orders.healthCheck']],
  [
    'two hash keys',
    service({ loadBalancer: { ringHash: { header: 'a', source: true } } }),
    ['C109 services.orders.loadBalancer.ringHash'],
  ],
  ['an empty gRPC match', route({ matches: [{ grpc: {} }] }), ['C109 services.orders.routes[0].matches[0].grpc']],
  [
    'bad expressions',
    route({ matches: [{ path: { regex: '(' }, headers: { a: { regex: '[' } } }, { query: { q: { regex: 'a)(b' } } }] }),
    [
      'C110 services.orders.routes[0].matches[0].path.regex',
      'C110 services.orders.routes[0].matches[0].headers.a.regex',
      'C110 services.orders.routes[0].matches[1].query.q.regex',
    ],
  ],
  ['a bad log probe', service({ readiness: { log: '*' } }), ['C110 services.orders.readiness.log']],
  [
    'bad header names',
    route({ matches: [{ headers: { 'a b': 'x', 'c:': 'x' } }], filters: { requestHeaders: { remove: ['ü'] } } }),
    [
      'C111 services.orders.routes[0].matches[0].headers["a b"]',
      'C111 services.orders.routes[0].matches[0].headers["c:"]',
      'C111 services.orders.routes[0].filters.requestHeaders.remove[0]',
    ],
  ],
  [
    'headers of the proxies',
    route({
      filters: {
        requestHeaders: { set: { Host: 'x', 'Content-Length': '1', 'x-mesh-flags': 'x' } },
        responseHeaders: { remove: ['connection'] },
      },
    }),
    [
      'C111 services.orders.routes[0].filters.requestHeaders.set.Host',
      'C111 services.orders.routes[0].filters.requestHeaders.set.Content-Length',
      'C111 services.orders.routes[0].filters.requestHeaders.set.x-mesh-flags',
      'C111 services.orders.routes[0].filters.responseHeaders.remove[0]',
    ],
  ],
  [
    'one header in two spellings',
    route({ matches: [{ headers: { 'X-A': '1', 'x-a': '2' } }] }),
    ['C111 services.orders.routes[0].matches[0].headers.x-a'],
  ],
  [
    'bad header values',
    route({ filters: { requestHeaders: { set: { a: 'x\r\ny: z' }, add: { b: ' x' } } } }),
    [
      'C112 services.orders.routes[0].filters.requestHeaders.set.a',
      'C112 services.orders.routes[0].filters.requestHeaders.add.b',
    ],
  ],
  [
    'bad hosts',
    gatewayRoute({ hosts: ['http://a', 'a b', 'a.*', '*', '*.a', 'a:80', ''], backends: [{ service: 'web' }] }),
    [
      'C113 gateway.routes[0].hosts[0]',
      'C113 gateway.routes[0].hosts[1]',
      'C113 gateway.routes[0].hosts[2]',
      'C113 gateway.routes[0].hosts[5]',
      'C113 gateway.routes[0].hosts[6]',
    ],
  ],
  [
    'a bad host to rewrite to',
    route({ filters: { rewrite: { host: 'a/b' } } }),
    ['C113 services.orders.routes[0].filters.rewrite.host'],
  ],
  [
    'bad external addresses',
    mesh(
      {},
      {
        a: { external: '127.0.0.1:80' },
        b: { external: 'ftp://x' },
        c: { external: 'tcp://x' },
        d: { external: 'http://x/y' },
        e: { external: 'http://u:p@x' },
        f: { external: 'http://ok.example' },
      },
    ),
    [
      'C114 services.a.external',
      'C114 services.b.external',
      'C114 services.c.external',
      'C114 services.d.external',
      'C114 services.e.external',
    ],
  ],
  [
    'an external of another protocol',
    mesh({}, { a: { external: 'tcp://x:1', protocol: 'http' }, b: { external: 'http://x', protocol: 'tcp' } }),
    ['C114 services.a.protocol', 'C114 services.b.protocol'],
  ],
  [
    'bad paths',
    route({
      matches: [{ path: { prefix: 'api' } }, { path: { exact: '/a?b' } }],
      filters: { rewrite: { path: { replaceFull: 'x' } } },
    }),
    [
      'C115 services.orders.routes[0].matches[0].path.prefix',
      'C115 services.orders.routes[0].matches[1].path.exact',
      'C115 services.orders.routes[0].filters.rewrite.path.replaceFull',
    ],
  ],
  ['a bad probe path', service({ readiness: { http: 'health' } }), ['C115 services.orders.readiness.http']],
  [
    'a bad method',
    route({ matches: [{ method: ['GET', 'P OST'] }] }),
    ['C116 services.orders.routes[0].matches[0].method[1]'],
  ],
  [
    'empty things',
    service({ command: ' ', cwd: '', envFile: [], routes: [{ matches: [] }] }),
    [
      'C117 services.orders.command',
      'C117 services.orders.cwd',
      'C117 services.orders.envFile',
      'C117 services.orders.routes[0].matches',
    ],
  ],
  ['a command without a program', service({ command: [] }), ['C117 services.orders.command']],
  ['an empty argument is one', service({ command: ['node', '-e', ''] }), []],
  [
    'bad variables',
    service({ env: { 'A=B': 'x', '': 'y', C: 'a\0' } }),
    ['C118 services.orders.env["A=B"]', 'C118 services.orders.env[""]', 'C118 services.orders.env.C'],
  ],
  ['a bad trust domain', mesh({ trustDomain: 'Shop.local:80' }), ['C119 trustDomain']],
  ['a short life of certificates', mesh({ identity: { ttl: '4s' } }), ['C120 identity.ttl']],
  ['a busy probe', service({ readiness: { tcp: {}, interval: '0s' } }), ['C120 services.orders.readiness.interval']],
  ['a timer of a month', service({ timeouts: { idle: '720h' } }), ['C120 services.orders.timeouts.idle']],
  ['certificates of a month', mesh({ identity: { ttl: '720h' } }), []],
  [
    'bad gRPC names',
    route({ matches: [{ grpc: { service: '/shop.Orders', method: 'a/b' } }] }),
    ['C121 services.orders.routes[0].matches[0].grpc.service', 'C121 services.orders.routes[0].matches[0].grpc.method'],
  ],
  [
    'what is no collector',
    mesh({ telemetry: { otlp: { endpoint: 'localhost:4318' } } }),
    ['C122 telemetry.otlp.endpoint'],
  ],

  // Services
  ['nothing to run', mesh({}, { orders: {} }), ['C201 services.orders']],
  [
    'a subset without command',
    mesh({}, { orders: { subsets: { a: { command: 'x' }, b: {} } } }),
    ['C201 services.orders'],
  ],
  ['commands of subsets only', mesh({}, { orders: { subsets: { a: { command: 'x' } } } }), []],
  ['a misspelt command is one problem', mesh({}, { orders: { comand: 'x' } }), ['C101 services.orders.comand']],
  ['both run and external', service({ external: 'http://127.0.0.1:9000' }), ['C202 services.orders']],
  ['an unknown dependency', service({ dependsOn: ['wbe'] }), ['C203 services.orders.dependsOn[0]']],
  [
    'an unknown dependency by name',
    service({ dependsOn: { constructor: 'ready' } }),
    ['C108 services.orders.dependsOn'],
  ],
  [
    'an unknown backend',
    route({ backends: [{ service: 'toString' }] }),
    ['C203 services.orders.routes[0].backends[0].service'],
  ],
  [
    'an unknown backend of the gateway',
    gatewayRoute({ backends: [{ service: 'wbe' }] }),
    ['C203 gateway.routes[0].backends[0].service'],
  ],
  [
    'a broken service is known',
    mesh({}, { orders: 7, a: { command: 'x', dependsOn: ['orders'] } }),
    ['C102 services.orders'],
  ],
  [
    'an unknown subset',
    route({ backends: [{ subset: 'stabel' }, {}] }, { subsets }),
    ['C204 services.orders.routes[0].backends[0].subset'],
  ],
  [
    'a subset of none',
    route({ backends: [{ subset: 'stable' }] }),
    ['C205 services.orders.routes[0].backends[0].subset'],
  ],
  ['a dependency on itself', service({ dependsOn: ['orders'] }), ['C206 services.orders.dependsOn[0]']],
  [
    'a circle of two',
    mesh({}, { a: { command: 'x', dependsOn: ['b'] }, b: { command: 'x', dependsOn: { a: 'started' } } }),
    ['C207 services.a.dependsOn'],
  ],
  [
    'two circles',
    mesh(
      {},
      {
        a: { command: 'x', dependsOn: ['b'] },
        b: { command: 'x', dependsOn: ['a', 'c'] },
        c: { command: 'x', dependsOn: ['d'] },
        d: { command: 'x', dependsOn: ['c'] },
      },
    ),
    ['C207 services.a.dependsOn', 'C207 services.c.dependsOn'],
  ],
  [
    'waiting for the end of a service',
    service({ dependsOn: { web: 'completed' } }),
    ['C208 services.orders.dependsOn.web'],
  ],
  [
    'one port for two',
    mesh(
      { gateway: { http: 8080, https: 8080, routes: [] } },
      { a: { command: 'x', port: 8080 }, b: { command: 'x', port: 9000 }, c: { command: 'x', port: 9000 } },
    ),
    ['C209 gateway.https', 'C209 services.a.port', 'C209 services.c.port'],
  ],
  [
    'an external on a port of ours',
    mesh(
      {},
      {
        a: { command: 'x', port: 9000 },
        b: { external: 'http://localhost:9000' },
        c: { external: 'http://example.com:9000' },
      },
    ),
    ['C209 services.b.external'],
  ],
  ['a fixed port for two', service({ port: 9000, replicas: 2 }), ['C210 services.orders.port']],
  ['a fixed port for two subsets', service({ port: 9000, subsets }), ['C210 services.orders.port']],
  [
    'process settings of an external',
    mesh({}, { a: { external: 'http://x', env: {}, replicas: 2, readiness: { tcp: {} }, task: false } }),
    ['C211 services.a.env', 'C211 services.a.replicas', 'C211 services.a.readiness'],
  ],
  [
    'request settings of a task',
    service({ task: true, routes: [], readiness: { tcp: {} }, restart: { policy: 'always' } }),
    ['C212 services.orders.routes', 'C212 services.orders.readiness', 'C212 services.orders.restart.policy'],
  ],
  [
    'a log line as sign of life',
    service({ liveness: { log: 'up' }, readiness: { log: 'up' } }),
    ['C213 services.orders.liveness.log'],
  ],
  [
    'gRPC probes on TCP',
    service({ protocol: 'tcp', readiness: { grpc: {} }, healthCheck: { grpc: {} } }),
    ['C214 services.orders.readiness.grpc', 'C214 services.orders.healthCheck.grpc'],
  ],
  [
    'routes on TCP',
    service({ protocol: 'tcp', routes: [{ matches: [{ grpc: { service: 'a' } }] }] }),
    ['C215 services.orders.routes'],
  ],
  [
    'waiting for a task to be ready',
    mesh(
      {},
      {
        t: { command: 'x', task: true },
        a: { command: 'x', dependsOn: { t: 'ready' } },
        b: { command: 'x', dependsOn: ['t'] },
      },
    ),
    ['C216 services.a.dependsOn.t'],
  ],
  [
    'a longest wait below the first',
    service({ restart: { backoff: '20s' }, retries: { attempts: 1, maxBackoff: '1ms' } }),
    ['C217 services.orders.restart (warning)', 'C217 services.orders.retries (warning)'],
  ],
  [
    'a weight of nobody',
    service({ loadBalancer: { weighted: { 'orders-1': 2, canary: 1 } } }),
    ['C218 services.orders.loadBalancer.weighted.canary (warning)'],
  ],
  [
    'instances of one name',
    mesh({}, { orders: { command: 'x', subsets: { canary: {} } }, 'orders-canary': { command: 'x' } }),
    ['C219 services.orders-canary'],
  ],
  [
    'PORT by hand',
    service({ env: { PORT: '3000' }, subsets: { a: { env: { PORT: 'x' } } } }),
    ['C220 services.orders.env.PORT (warning)', 'C220 services.orders.subsets.a.env.PORT (warning)'],
  ],
  ['a gateway that is not there', service({ dependsOn: ['gateway'] }), ['C221 services.orders.dependsOn[0]']],
  [
    'a gateway that is',
    mesh({ gateway: { https: 8443, routes: [] } }, { a: { command: 'x', dependsOn: { gateway: 'ready' } } }),
    [],
  ],
  [
    'the end of the gateway',
    mesh({ gateway: { http: 8080, routes: [] } }, { a: { command: 'x', dependsOn: { gateway: 'completed' } } }),
    ['C208 services.a.dependsOn.gateway'],
  ],
  [
    'a hash over requests on TCP',
    service({ protocol: 'tcp', loadBalancer: { ringHash: { header: 'a' } } }),
    ['C222 services.orders.loadBalancer.ringHash'],
  ],

  // Routes
  [
    'weights of zero',
    route(
      {
        backends: [
          { subset: 'stable', weight: 0 },
          { subset: 'canary', weight: 0 },
        ],
      },
      { subsets },
    ),
    ['C301 services.orders.routes[0].backends'],
  ],
  ['one weight of zero', route({ backends: [{ subset: 'stable', weight: 0 }, { subset: 'canary' }] }, { subsets }), []],
  [
    'a broken weight is no weight of zero',
    route(
      {
        backends: [
          { subset: 'stable', weight: 0 },
          { subset: 'canary', weight: '1' },
        ],
      },
      { subsets },
    ),
    ['C102 services.orders.routes[0].backends[1].weight'],
  ],
  ['two for everything', service({ routes: [{}, {}] }), ['C302 services.orders.routes[1]']],
  ['a general route first is tried last', service({ routes: [{}, { matches: [{ path: { prefix: '/a' } }] }] }), []],
  [
    'the slash prefix is everything',
    service({ routes: [{ matches: [{ path: { prefix: '/' } }] }, {}] }),
    ['C302 services.orders.routes[1]'],
  ],
  [
    'one match of several',
    service({
      routes: [
        { matches: [{ path: { exact: '/a' } }] },
        { matches: [{ path: { exact: '/b' } }, { path: { exact: '/a' } }] },
      ],
    }),
    ['C303 services.orders.routes[1].matches[1] (warning)'],
  ],
  [
    'a broken match hides nothing',
    service({ routes: [{ matches: [{ path: { prefix: 'a' } }] }, {}, { matches: [{ path: { prefix: '/a' } }] }] }),
    ['C115 services.orders.routes[0].matches[0].path.prefix'],
  ],
  [
    'a redirect with backends',
    gatewayRoute({ filters: { redirect: { scheme: 'https' } }, backends: [{ service: 'web' }] }),
    ['C304 gateway.routes[0].backends'],
  ],
  ['a redirect of a service', route({ filters: { redirect: { path: { replaceFull: '/new' } } } }), []],
  ['a gateway route to nowhere', gatewayRoute({ matches: [{ method: 'GET' }] }), ['C305 gateway.routes[0]']],
  ['a broken backend is one problem', gatewayRoute({ backends: [{}] }), ['C103 gateway.routes[0].backends[0].service']],
  [
    'a try above the request',
    service({ timeouts: { request: '1s' }, retries: { attempts: 1, perTryTimeout: '2s' } }),
    ['C306 services.orders.retries.perTryTimeout (warning)'],
  ],
  [
    'a try above the inherited request',
    mesh(
      { defaults: { timeouts: { request: '1s' } } },
      { a: { command: 'x', routes: [{ retries: { attempts: 1, perTryTimeout: '2s' } }] } },
    ),
    ['C306 services.a.routes[0].retries.perTryTimeout (warning)'],
  ],
  [
    'a request below the inherited try',
    mesh(
      { defaults: { retries: { attempts: 1, perTryTimeout: '2s' } } },
      { a: { command: 'x', timeouts: { request: '1s' } } },
    ),
    ['C306 services.a.timeouts.request (warning)'],
  ],
  [
    'defaults are told once',
    mesh(
      { defaults: { timeouts: { request: '1s' }, retries: { attempts: 1, perTryTimeout: '2s' } } },
      { a: { command: 'x', routes: [{}] } },
    ),
    ['C306 defaults.retries.perTryTimeout (warning)'],
  ],
  [
    'a subset without requests',
    route({ backends: [{ subset: 'stable' }] }, { subsets }),
    ['C307 services.orders.subsets.canary (warning)'],
  ],
  [
    'a subset only the gateway knows',
    mesh(
      { gateway: { http: 1, routes: [{ backends: [{ service: 'a', subset: 'canary' }] }] } },
      { a: { command: 'x', subsets, routes: [{ backends: [{ subset: 'stable' }] }] } },
    ),
    [],
  ],
  ['subsets without routes', service({ subsets }), []],
  [
    'the gateway to a task',
    mesh(
      { gateway: { http: 1, routes: [{ backends: [{ service: 't' }, { service: 'p' }] }] } },
      { t: { command: 'x', task: true }, p: { external: 'tcp://127.0.0.1:5432' } },
    ),
    ['C308 gateway.routes[0].backends[0].service', 'C308 gateway.routes[0].backends[1].service'],
  ],
  [
    'a route to TCP',
    mesh({}, { p: { command: 'x', protocol: 'tcp' }, a: { command: 'x', routes: [{ backends: [{ service: 'p' }] }] } }),
    ['C309 services.a.routes[0].backends[0].service'],
  ],
  [
    'a prefix of an expression',
    route({ matches: [{ path: { regex: '/a.*' } }], filters: { rewrite: { path: { replacePrefix: '/b' } } } }),
    ['C310 services.orders.routes[0].filters.rewrite.path'],
  ],
  [
    'two of one name',
    service({ routes: [{ name: 'a', matches: [{ method: 'GET' }] }, { name: 'a' }] }),
    ['C311 services.orders.routes[1].name (warning)'],
  ],
  [
    'a redirect with a rewrite',
    route({ filters: { redirect: {}, rewrite: { host: 'x' } } }),
    ['C312 services.orders.routes[0].filters'],
  ],
  [
    'a gRPC match with a path',
    route({ matches: [{ grpc: { service: 'a.B' }, path: { prefix: '/x' } }] }),
    ['C313 services.orders.routes[0].matches[0].grpc'],
  ],
  [
    'a gateway without a port',
    mesh({ gateway: { routes: [{ backends: [{ service: 'web' }] }] } }),
    ['C314 gateway (warning)'],
  ],
];

describe('validateConfig', () => {
  it.each(table)('%s', (_, input, expected) => {
    expect(found(input)).toEqual(expected);
  });

  it('gives the configuration exactly if nothing is an error', () => {
    for (const [what, input, expected] of table) {
      const errors = expected.filter((line) => !line.endsWith('(warning)'));
      expect(validateConfig(input).config === null, what).toBe(errors.length > 0);
    }
  });

  it('has a case for each code of values, services and routes', () => {
    const covered = new Set(table.flatMap(([, , expected]) => expected.map((line) => line.slice(0, 4))));
    // C106: no field is a size yet.
    const missing = codes().filter(
      (code) => /^MESH-C[123]/.test(code) && !covered.has(code.slice(5)) && code !== 'MESH-C106',
    );
    expect(missing).toEqual([]);
  });

  it('finds problems of every kind at once', () => {
    const input = mesh(
      { version: 3, nam: 'x', gateway: { http: 9000, routes: [{ backends: [{ service: 'nobody' }] }] } },
      {
        a: { command: 5, port: 9000, dependsOn: ['b'] },
        b: { command: 'x', dependsOn: ['a'], timeouts: { request: 'soon' } },
        c: { comand: 'x', routes: [{ backends: [{ weight: 0 }] }, {}] },
      },
    );
    expect(found(input).sort()).toEqual(
      [
        'C009 version',
        'C101 nam',
        'C101 services.c.comand',
        'C102 services.a.command',
        'C105 services.b.timeouts.request',
        'C203 gateway.routes[0].backends[0].service',
        'C207 services.a.dependsOn',
        'C209 services.a.port',
        'C301 services.c.routes[0].backends',
        'C302 services.c.routes[1]',
      ].sort(),
    );
  });

  it('leaves its input as it is', () => {
    const input = service({ replicas: 'x', routes: [{ backends: [7] }] });
    const before = structuredClone(input);
    validateConfig(input);
    expect(input).toEqual(before);
  });
});

describe('what is said', () => {
  const first = (input: unknown) => validateConfig(input).problems[0];

  it.each([
    [
      'a misspelt key',
      service({ retires: {} }),
      'a service has no key "retires"',
      /^did you mean 'retries'\? Allowed: command, /,
    ],
    ['a foreign word', service({ environment: {} }), 'a service has no key "environment"', /^did you mean 'env'\?/],
    [
      'a misspelt word',
      service({ protocol: 'gprc' }),
      '"gprc" is not allowed here',
      /^did you mean 'grpc'\? Allowed: http, http2, grpc, tcp$/,
    ],
    [
      'a duration with a word',
      service({ timeouts: { request: '10 sec' } }),
      'expected a duration such as 500ms, 10s, 1m30s or 1h, found "10 sec"',
      /^did you mean '10s'\?$/,
    ],
    [
      'a duration without a unit',
      service({ timeouts: { request: 10 } }),
      'expected a duration such as 500ms, 10s, 1m30s or 1h, found 10',
      /'10s' or '10ms'/,
    ],
    [
      'a number in quotes',
      service({ replicas: '2' }),
      'expected a number of instances, a whole number from 0 to 1000, found "2"',
      /^without quotes: 2$/,
    ],
    [
      'a variable that is a number',
      service({ env: { A: 1 } }),
      'expected text, found 1',
      /^environment variables are text: '1'$/,
    ],
    [
      'a name in camel case',
      mesh({}, { orderService: { command: 'x' } }),
      '"orderService" is not a valid name',
      /^did you mean 'order-service'\?/,
    ],
    ['a path without slash', service({ readiness: { http: { path: 'up' } } }), '"up" is not a path', /begins with \//],
    [
      'a service name',
      service({ dependsOn: ['wb'] }),
      'there is no service "wb"',
      /^did you mean 'web'\? There is: web, orders$/,
    ],
    [
      'a circle',
      mesh(
        {},
        {
          a: { command: 'x', dependsOn: ['b'] },
          b: { command: 'x', dependsOn: ['c'] },
          c: { command: 'x', dependsOn: ['a'] },
        },
      ),
      'services wait for each other in a circle: a -> b -> c -> a',
      /remove one/,
    ],
    ['a promise', mesh({ services: Promise.resolve({}) }), 'found a Promise that was not awaited', /await/],
    ['a function', mesh({}, { a: function makeA() {} }), 'found the function makeA where a value belongs', /makeA\(\)/],
    [
      'an unreachable route',
      service({ routes: [{ name: 'all' }, {}] }),
      'no request reaches this route: routes[0] (all) takes all that it matches',
      /remove it/,
    ],
    [
      'one port',
      mesh({ gateway: { http: 9000, routes: [] } }, { a: { command: 'x', port: 9000 } }),
      'port 9000 is already that of the gateway (http)',
      /leave it out/,
    ],
  ])('about %s', (_, input, message, hint) => {
    expect(first(input).message).toBe(message);
    expect(first(input).hint).toMatch(hint);
  });

  it('is one line without a full stop, whatever is found', () => {
    const ugly = { '': 'a\nb', '\n': 1, [`${'x'.repeat(500)}\r\n`]: [] };
    const inputs = [
      ugly,
      mesh({}, ugly),
      service(ugly),
      service({ env: ugly, command: ugly, routes: [ugly], loadBalancer: ugly }),
    ];
    for (const [, input] of table) inputs.push(input as Json);
    for (const input of inputs) {
      for (const { message, hint } of validateConfig(input).problems) {
        expect(message).not.toMatch(/[\n\r]|[^.]\.$/);
        expect(hint ?? '').not.toMatch(/[\n\r]/);
        expect(message.length).toBeLessThan(250);
      }
    }
  });
});
