import { render } from 'ink';
import type { LogLine, MeshStatus } from '../model/status.ts';
import { App } from './app.tsx';
import { createViewStore, type ViewStore } from './store.ts';

export interface TerminalView extends Omit<ViewStore, 'ready' | 'close' | 'logs' | 'subscribe' | 'getSnapshot'> {
  logs(lines: LogLine[]): void;
  ready(status: MeshStatus, tookMs: number | null): void;
  /** Leaves the last frame on the screen and gives the keyboard back. */
  close(): Promise<void>;
}

/** Elapsed times move although nothing else changes. */
const TICK_MS = 500;

/** Draws on this process's terminal until closed. Ctrl-C and `q` arrive as keys and only call back. */
export function openView(keys: { onInterrupt: () => void }): TerminalView {
  const store = createViewStore();
  const { stdout } = process;
  const frame = () => (
    <App
      source={store}
      onInterrupt={keys.onInterrupt}
      columns={Math.max(20, stdout.columns ?? 80)}
      rows={stdout.rows ?? 24}
      now={Date.now}
    />
  );
  const app = render(frame(), { exitOnCtrlC: false, maxFps: 10, patchConsole: false });
  const redraw = () => app.rerender(frame());
  const tick = setInterval(redraw, TICK_MS);
  stdout.on('resize', redraw);
  return {
    status: store.status,
    logs: store.logs,
    notice: store.notice,
    say: store.say,
    ready: (_, tookMs) => store.ready(tookMs),
    async close() {
      clearInterval(tick);
      stdout.off('resize', redraw);
      store.close();
      // React commits the last state in a turn of its own; unmounting draws what is committed.
      await new Promise((resolve) => setImmediate(resolve));
      app.unmount();
      await app.waitUntilExit();
    },
  };
}
