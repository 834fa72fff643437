import type { MeshStatus } from '../../model/status.ts';
import type { MeshLocation } from './locate.ts';
import { createJsonView, createPlainView, renderProgress } from './plain-view.ts';
import { onInterrupt } from './signals.ts';
import type { Style } from './style.ts';
import { formatMs } from './text.ts';
import { followMesh, startMesh, type UpView, waitUntilReady } from './up.ts';
import { gatewayUrls, readyLine } from './urls.ts';
import { type OpenView, type TerminalUpView, viewSession } from './view-session.ts';

/** For services to obey their stop signal after Ctrl-C; `mesh down` has a flag for it. */
const STOP_TIMEOUT_MS = 10_000;

export interface RunUp {
  location: MeshLocation;
  services: readonly string[];
  detach: boolean;
  json: boolean;
  readyTimeoutMs: number;
  style: Style;
  /** The full-screen view; null: lines. */
  openView: OpenView | null;
  daemonCommand?: readonly string[];
}

/** `mesh up`, in the foreground or detached. */
export async function runUp(run: RunUp): Promise<void> {
  const write = (text: string) => void process.stdout.write(text);
  const options = { ...run, stopTimeoutMs: STOP_TIMEOUT_MS };
  if (run.detach) return detached(run, write);

  // From here on Ctrl-C asks; while the daemon starts it is remembered.
  const pressed: (() => void)[] = [];
  let early = 0;
  let terminal: TerminalUpView | null = null;
  const press = () => {
    if (terminal?.suspended()) return;
    if (pressed.length === 0) early++;
    for (const listener of pressed) listener();
  };
  const unlisten = onInterrupt(press);
  try {
    const mesh = await startMesh(options, process.pid);
    if (!mesh.launched) write(`a mesh already runs here; watching it. Ctrl-C leaves it running\n`);
    if (run.openView !== null && !run.json) {
      const quit = mesh.launched ? 'stop' : 'quit';
      terminal = await run.openView(viewSession(mesh.client, run.location, { quit, onInterrupt: press }));
    }
    const plain = (): UpView => (run.json ? createJsonView(write) : createPlainView(write, run.style, process.cwd()));
    const view = terminal ?? plain();
    await followMesh(mesh, options, view, {
      listen(listener) {
        pressed.push(listener);
        for (; early > 0; early--) listener();
        return () => pressed.splice(pressed.indexOf(listener), 1);
      },
    });
  } finally {
    unlisten();
  }
}

async function detached(run: RunUp, write: (text: string) => void): Promise<void> {
  const mesh = await startMesh({ ...run, stopTimeoutMs: STOP_TIMEOUT_MS }, 0);
  try {
    let previous: MeshStatus | null = null;
    const status = await waitUntilReady(mesh, run.services, run.readyTimeoutMs, (next) => {
      if (run.json) return;
      const lines = renderProgress(previous, next, run.style);
      previous = next;
      if (lines.length > 0) write(`${lines.join('\n')}\n`);
    });
    const tookMs = Date.now() - mesh.startedAtMs;
    if (run.json) write(`${JSON.stringify({ ...status, urls: gatewayUrls(status), tookMs }, null, 2)}\n`);
    else write(`${run.style.bold(readyLine(status, mesh.launched ? formatMs(tookMs) : null))}\n`);
  } finally {
    mesh.client.close();
  }
}
