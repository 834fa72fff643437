/**
 * A data plane without telemetry, to set the product's against: it counts nothing and looks neither for taps nor for
 * traces. Everything else is the product's own code.
 */
import { ConnectionManager } from '../../src/proxy/connection-manager.ts';
import { runDataPlane } from '../../src/proxy/data-plane.ts';
import { Proxies } from '../../src/proxy/proxy.ts';
import { type CounterSlot, createCounters } from '../../src/proxy/telemetry/counters.ts';

const key = { source: '', destination: '', route: '', gatewayRoute: '', instance: '', tls: false } as const;
const slot: CounterSlot = createCounters().slot({ ...key, direction: 'outbound' });

// biome-ignore lint/complexity/useLiteralKeys: TypeScript lets nobody else at what is private
ConnectionManager.prototype['count'] = () => slot;
// biome-ignore lint/complexity/useLiteralKeys: the same
Proxies.prototype['record'] = () => {};
runDataPlane();
