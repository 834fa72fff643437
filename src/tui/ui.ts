import { detailRow, type Looking, sceneOf } from './screen.ts';
import type { View, ViewSource } from './store.ts';
import { type Effect, initialUi, press, type UiState, type ViewId } from './ui-state.ts';
import type { Size } from './views/view.ts';

/** What the user chose, apart from the drawing: it outlives the drawing while an editor has the terminal. */
export interface Ui {
  subscribe(listener: () => void): () => void;
  getSnapshot(): UiState;
  /** The effect is up to the caller. */
  press(key: string, size: Size, now: number): Effect | null;
  looking(now: number): Looking;
  wants(now: number): Wants;
}

/** What of the traffic is looked at closely. */
export interface Wants {
  bodies: boolean;
  /** Trace of the request that is looked at in full; null: none is. */
  traceId: string | null;
}

export function createUi(source: ViewSource, options: { view?: ViewId; quit: Looking['quit'] }): Ui {
  const listeners = new Set<() => void>();
  let state = initialUi(options.view);
  /** What is shown while paused. */
  let frozen: View | null = null;
  let pinned: unknown = null;
  const looking = (now: number): Looking => {
    const live = source.getSnapshot();
    // What is said about the mesh as a whole is news even to who paused.
    const { remark, remarkUntilMs, trace } = live;
    const view = frozen === null ? live : { ...frozen, remark, remarkUntilMs, trace };
    const seen: Looking = { view, ui: state, now, pinned, quit: options.quit };
    return { ...seen, pinned: state.detail === null ? null : detailRow(seen) };
  };
  return {
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    getSnapshot: () => state,
    looking(now) {
      const seen = looking(now);
      pinned = seen.pinned;
      return seen;
    },
    wants(now) {
      const row =
        state.view === 'requests' && state.detail !== null ? (looking(now).pinned as { traceId: string } | null) : null;
      return { bodies: state.bodies, traceId: row?.traceId || null };
    },
    press(key, size, now) {
      const { state: next, effect } = press(state, key, sceneOf(looking(now), size));
      if (next.paused !== state.paused) frozen = next.paused ? source.getSnapshot() : null;
      if (next.detail?.key !== state.detail?.key || next.view !== state.view) pinned = null;
      const changed = next !== state;
      state = next;
      if (changed) {
        pinned = looking(now).pinned;
        for (const listener of listeners) listener();
      }
      return effect;
    },
  };
}
