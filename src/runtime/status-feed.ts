import type { MeshStatus } from '../model/status.ts';
import type { Clock, Timer } from './clock.ts';

/** Changes of services that come together are told together. */
const CHANGE_INTERVAL_MS = 50;
/** Figures of traffic move all the time: nobody reads them more often. */
const TRAFFIC_INTERVAL_MS = 1_000;

export interface StatusFeed {
  /** Calls back at once, then on changes. Returns the unsubscription. */
  watch(listener: (status: MeshStatus) => void): () => void;
  /** Something that people wait for has changed. */
  changed(): void;
  /** Only the figures of traffic have. */
  moved(): void;
}

/** Tells those who watch a mesh of its status; makes none while nobody does. */
export function createStatusFeed(status: () => MeshStatus, clock: Clock): StatusFeed {
  const listeners = new Set<(status: MeshStatus) => void>();
  let changeTimer: Timer | null = null;
  let trafficTimer: Timer | null = null;
  const send = (): void => {
    // What is sent has both: neither is due any more.
    if (changeTimer !== null) clock.clearTimeout(changeTimer);
    if (trafficTimer !== null) clock.clearTimeout(trafficTimer);
    changeTimer = null;
    trafficTimer = null;
    if (listeners.size === 0) return;
    const now = status();
    for (const listener of [...listeners]) listener(now);
  };
  return {
    watch(listener) {
      listeners.add(listener);
      listener(status());
      return () => listeners.delete(listener);
    },
    changed() {
      if (changeTimer === null && listeners.size > 0) changeTimer = clock.setTimeout(send, CHANGE_INTERVAL_MS);
    },
    moved() {
      if (trafficTimer !== null || listeners.size === 0) return;
      trafficTimer = clock.setTimeout(send, TRAFFIC_INTERVAL_MS);
      trafficTimer.unref();
    },
  };
}
