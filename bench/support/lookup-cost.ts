import type { ResolvedRoute } from '../../src/model/resolved.ts';
import type { RequestHead } from '../../src/proxy/message.ts';
import { compileRouteTable } from '../../src/proxy/route-table.ts';
import { median } from './mesh.ts';

/** The host of the requests that are looked up. */
const OWN_HOST = 'shop.test';

/** A table to look up routes in, and requests with the names of the routes that they must find. */
interface LookupCase {
  label: string;
  routes: ResolvedRoute[];
  requests: { request: RequestHead; expected: string }[];
}

/** Nanoseconds for one look-up, medians of `rounds`, which alternate between the cases. */
export interface LookupCost {
  routes: number;
  /** One route of our own host beside so many of other hosts. */
  otherHosts: number;
  /** So many routes of one host; requests ask for all of them in turn. */
  oneTable: number;
}

export function measureLookup(sizes: readonly number[], rounds: number, calls: number): LookupCost[] {
  const cases = sizes.flatMap((size) => [otherHosts(size), oneTable(size)]);
  const tables = cases.map(({ routes }) => compileRouteTable({ service: 'gateway', routes }));
  cases.forEach((each, i) => {
    for (const { request, expected } of each.requests) {
      const found = tables[i].match(request)?.route.name;
      if (found !== expected) throw new Error(`${each.label}: ${request.path} found ${found}, not ${expected}`);
    }
  });
  const times = cases.map((): number[] => []);
  // The first round only warms up.
  for (let round = -1; round < rounds; round++) {
    for (let i = 0; i < cases.length; i++) {
      const table = tables[i];
      const requests = cases[i].requests;
      const mask = requests.length - 1;
      let found = 0;
      const begin = performance.now();
      for (let call = 0; call < calls; call++) if (table.match(requests[call & mask].request) !== null) found++;
      const ns = ((performance.now() - begin) * 1e6) / calls;
      if (found !== calls) throw new Error(`${cases[i].label}: ${calls - found} of ${calls} look-ups found nothing`);
      if (round >= 0) times[i].push(ns);
    }
  }
  return sizes.map((routes, i) => ({
    routes,
    otherHosts: median(times[i * 2]),
    oneTable: median(times[i * 2 + 1]),
  }));
}

/** Requests of a round: a power of two, so that taking the next costs the same in every case. */
const REQUESTS = 1_024;

function otherHosts(size: number): LookupCase {
  const routes = Array.from({ length: size }, (_, i) => route(`other-${i}`, `host-${i}.test`, `/api/v${i % 16}`));
  routes.push(route('own', OWN_HOST, '/api'));
  return {
    label: `${size} routes of other hosts`,
    routes,
    requests: Array.from({ length: REQUESTS }, (_, i) => ({ request: request(`/api/v${i}/orders`), expected: 'own' })),
  };
}

function oneTable(size: number): LookupCase {
  const routes = Array.from({ length: size }, (_, i) => route(`route-${i}`, OWN_HOST, `/api/v${i}`));
  return {
    label: `${size} routes of one table`,
    routes,
    requests: Array.from({ length: REQUESTS }, (_, i) => {
      const wanted = Math.floor((i * size) / REQUESTS);
      return { request: request(`/api/v${wanted}/orders`), expected: `route-${wanted}` };
    }),
  };
}

function route(name: string, host: string, prefix: string): ResolvedRoute {
  return {
    name,
    path: '',
    hosts: [host],
    matches: [{ path: { kind: 'prefix', value: prefix }, methods: [], headers: [], query: [] }],
    filters: { requestHeaders: null, responseHeaders: null, rewrite: null, redirect: null },
    backends: [{ service: 'app', subset: null, weight: 1 }],
    timeouts: { requestMs: 0, idleMs: 0 },
    retries: null,
  };
}

function request(path: string): RequestHead {
  return {
    method: 'GET',
    scheme: 'http',
    authority: OWN_HOST,
    path,
    protocol: null,
    headers: ['user-agent', 'bench', 'accept', '*/*'],
    contentLength: 0,
    expectContinue: false,
  };
}
