import type { TapFilter } from '../../model/events.ts';
import type { TapSpec } from '../channel.ts';
import type { Exchange } from '../exchange.ts';
import { BodyCapture, type CaptureBudget } from './body-capture.ts';
import { hasHeader, protocolOf } from './request-events.ts';

/** Decides whose bodies are captured. The proxies have one only while a tap asks for bodies. */
export interface BodyCaptures {
  /** A request's head has come: begins a capture if a tap may want it, as far as can be told. */
  begin(x: Exchange): void;
  /** Its destination is known: lets go of what no tap will want. */
  routed(x: Exchange): void;
}

/** Null: no tap asks for bodies. */
export function createBodyCaptures(specs: readonly TapSpec[], budget: CaptureBudget): BodyCaptures | null {
  const wanted = specs.map(({ filter }) => filter).filter(({ bodyLimitBytes = 0 }) => bodyLimitBytes > 0);
  if (wanted.length === 0) return null;
  return {
    begin(x) {
      let limitBytes = 0;
      for (const filter of wanted)
        if (headMatches(filter, x)) limitBytes = Math.max(limitBytes, filter.bodyLimitBytes!);
      if (limitBytes > 0) x.capture = new BodyCapture(budget, limitBytes);
    },
    routed(x) {
      if (x.capture === null || wanted.some((filter) => headMatches(filter, x) && edgeMatches(filter, x))) return;
      x.capture.release();
      x.capture = null;
    },
  };
}

/** What of a filter can be told by the head of a request; the rest is known at its end. */
function headMatches({ direction, method, path, protocol, from, headers }: TapFilter, x: Exchange): boolean {
  const { kind, service } = x.listener.spec;
  const inbound = kind === 'inbound';
  if (direction !== '' && inbound !== (direction === 'inbound')) return false;
  if (from !== '' && !inbound && service !== from) return false;
  if (method !== '' && x.request.method !== method.toUpperCase()) return false;
  if (protocol !== '' && protocolOf(x) !== protocol) return false;
  if (!x.path.startsWith(path)) return false;
  return headers.every(([name, value]) => hasHeader(x.request.headers, name.toLowerCase(), value));
}

function edgeMatches({ service, from, to, route }: TapFilter, x: Exchange): boolean {
  const { source, destination, route: name } = x.counter!.key;
  if (service !== '' && source !== service && destination !== service) return false;
  if ((from !== '' && source !== from) || (to !== '' && destination !== to)) return false;
  return route === '' || name === route || x.outerRoute?.name === route;
}
