// The demo: a small shop. `npx mesh up`, then http://shop.localhost:8080. Save a change here and it is live at once.
import { defineMesh } from 'localmesh';

export default defineMesh({
  version: 1,
  name: 'shop',

  gateway: {
    http: 8080,
    https: 8443,
    routes: [
      // For grpcurl and the like: the API of orders from outside, beside the shop itself.
      {
        name: 'orders-api',
        matches: [{ grpc: { service: 'shop.v1.OrderService' } }],
        backends: [{ service: 'orders' }],
      },
      {
        name: 'api',
        matches: [{ path: { prefix: '/api' } }],
        backends: [{ service: 'web' }],
        timeouts: { request: '15s' }, // for an event stream, until it begins
      },
      { name: 'page', matches: [{ path: { prefix: '/' } }], backends: [{ service: 'web' }] },
    ],
  },

  services: {
    web: {
      command: 'node --import tsx src/web.ts', // what `tsx src/web.ts` does, in one process instead of two
      cwd: 'examples/shop',
      protocol: 'http',
      dependsOn: ['orders', 'inventory'], // gives it ORDERS_URL and INVENTORY_URL, and starts it when both are ready
      readiness: { http: '/health/ready' },
      liveness: { http: '/health/live' },
      watch: ['src/web.ts', 'src/web', 'src/common', 'proto'],
    },

    orders: {
      command: 'node --import tsx src/orders.ts',
      cwd: 'examples/shop',
      protocol: 'grpc',
      dependsOn: ['inventory', 'payments'],
      readiness: { grpc: { service: 'shop.v1.OrderService' } },
      watch: ['src/orders.ts', 'src/orders', 'src/common', 'proto'],
    },

    inventory: {
      command: 'node --import tsx src/inventory.ts',
      cwd: 'examples/shop',
      protocol: 'http',
      readiness: { http: '/health/ready' },
      watch: ['src/inventory.ts', 'src/inventory', 'src/common'],
      loadBalancer: 'least-request',
      subsets: {
        stable: { env: { VERSION: 'v1' } },
        canary: { env: { VERSION: 'v2' } },
      },
      routes: [
        // Each version has stock of its own, so what was reserved at one has to be released there.
        {
          name: 'canary-by-header',
          matches: [{ headers: { 'x-inventory-version': 'v2' } }, { headers: { 'x-canary': 'true' } }],
          backends: [{ subset: 'canary' }],
        },
        {
          name: 'stable-by-header',
          matches: [{ headers: { 'x-inventory-version': 'v1' } }],
          backends: [{ subset: 'stable' }],
        },
        {
          name: 'one-in-ten-to-canary',
          backends: [
            { subset: 'stable', weight: 90 },
            { subset: 'canary', weight: 10 },
          ],
          timeouts: { request: '10s' },
          retries: { attempts: 3, perTryTimeout: '2s', on: ['gateway-error', 'connect-failure', 'refused-stream'] },
        },
      ],
    },

    payments: {
      command: 'node --import tsx src/payments.ts',
      cwd: 'examples/shop',
      protocol: 'http',
      readiness: { http: '/health/ready' },
      watch: ['src/payments.ts', 'src/payments', 'src/common'],
      timeouts: { request: '5s' },
      // A charge has a key: asked twice, it is still one charge.
      retries: {
        attempts: 2,
        perTryTimeout: '2s',
        on: ['gateway-error', 'reset', 'connect-failure', 'refused-stream'],
      },
    },

    // Some customers, so that there is something to see: RATE requests a second through the gateway, until it is stopped.
    load: {
      command: 'node --import tsx src/load.ts',
      cwd: 'examples/shop',
      env: { RATE: '3' },
      dependsOn: { web: 'ready', gateway: 'started' },
      task: true,
    },
  },
});
