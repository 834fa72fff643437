import { type Instance, render } from 'ink';
import type { Problem, Result } from '../model/result.ts';
import type { LogLine, MeshStatus } from '../model/status.ts';
import { App } from './app.tsx';
import { createViewStore, type ViewStore } from './store.ts';
import { createScreen } from './terminal.ts';
import { createUi, type Wants } from './ui.ts';
import type { Effect, ViewId } from './ui-state.ts';

export interface ViewOptions {
  /** What `q` and Ctrl-C do, for the words on the screen: `stop` the mesh, or only `quit`. */
  quit: 'stop' | 'quit';
  /** Shown first. */
  view?: ViewId;
  colours: boolean;
  /** Ctrl-C and `q`, which a raw terminal makes keys, only call back. */
  onInterrupt(): void;
  operate(action: 'restart' | 'start' | 'stop', service: string): Promise<Result<void>>;
  /** Resolves when the editor is closed; it may use the terminal meanwhile. Both null: the configuration. */
  edit(target: { service: string | null; place: string | null }): Promise<Result<void>>;
}

export interface TerminalView {
  status(status: MeshStatus): void;
  logs(lines: LogLine[]): void;
  notice: ViewStore['notice'];
  ready(status: MeshStatus, tookMs: number | null): void;
  say(text: string): void;
  /** Traffic and tables, for those views that show them. */
  readonly live: Pick<ViewStore, 'events' | 'stats' | 'tables' | 'usage' | 'trace'>;
  /** Calls back with the view that is looked at and what of it closely, at once and when that changes. */
  onLook(listener: (view: ViewId, wants: Wants) => void): () => void;
  /** An editor has the terminal, and Ctrl-C is for it. */
  suspended(): boolean;
  /** Gives the terminal back as it was, with the last remark below. */
  close(): Promise<void>;
}

/** Elapsed times move although nothing else changes. */
const TICK_MS = 1_000;
/** How long the answer to a key stays. */
const FLASH_MS = 4_000;

/** Draws on this process's terminal until closed. */
export function openView(options: ViewOptions): TerminalView {
  const { stdout, stdin } = process;
  const store = createViewStore();
  const ui = createUi(store, { view: options.view, quit: options.quit });
  const screen = createScreen(stdout);
  let app: Instance | null = null;
  let suspended = false;
  let interrupted = false;
  let lastWords = '';

  const flash = (text: string) => store.flash(text, Date.now() + FLASH_MS);
  const report = (what: string, result: Result<void>) => flash(result.ok ? what : sentenceOf(result.problems[0]));

  const frame = () => (
    <App
      source={store}
      ui={ui}
      onEffect={onEffect}
      columns={screen.columns}
      rows={screen.rows}
      colours={options.colours}
      now={Date.now}
    />
  );
  const draw = () => {
    screen.enter();
    app = render(frame(), {
      stdout: screen as unknown as NodeJS.WriteStream,
      // Each frame as a whole, for the screen to compare with the last one.
      debug: true,
      exitOnCtrlC: false,
      patchConsole: false,
    });
  };
  const erase = async () => {
    const drawn = app;
    app = null;
    // React commits the last state in a turn of its own; unmounting draws what is committed.
    await new Promise((resolve) => setImmediate(resolve));
    drawn?.unmount();
    await drawn?.waitUntilExit();
  };

  function onEffect(effect: Effect): void {
    if (effect.kind === 'interrupt') {
      interrupted = true;
      options.onInterrupt();
    } else if (effect.kind === 'operate') void operate(effect.action, effect.service);
    else void edit(effect);
  }
  const DOING = { restart: ['restarting', 'restarted'], start: ['starting', 'started'], stop: ['stopping', 'stopped'] };
  async function operate(action: 'restart' | 'start' | 'stop', service: string): Promise<void> {
    flash(`${DOING[action][0]} ${service} …`);
    try {
      report(`${service} ${DOING[action][1]}`, await options.operate(action, service));
    } catch (error) {
      flash((error as Error).message);
    }
  }
  async function edit(target: { service: string | null; place: string | null }): Promise<void> {
    if (suspended) return;
    suspended = true;
    await erase();
    // Otherwise this process and the editor would both read what is typed.
    stdin.pause();
    screen.leave();
    let result: Result<void>;
    try {
      result = await options.edit(target);
    } finally {
      suspended = false;
      if (!closed) draw();
    }
    if (!result.ok) flash(sentenceOf(result.problems[0]));
  }

  let closed = false;
  const redraw = () => app?.rerender(frame());
  const tick = setInterval(redraw, TICK_MS);
  screen.on('resize', redraw);
  draw();

  return {
    status: store.status,
    logs: store.logs,
    notice: store.notice,
    say(text) {
      lastWords = text;
      store.say(text);
    },
    ready: (_, tookMs) => store.ready(tookMs),
    live: store,
    onLook(listener) {
      let last = '';
      const look = () => {
        const { view } = ui.getSnapshot();
        const wants = ui.wants(Date.now());
        const now = JSON.stringify([view, wants]);
        if (now === last) return;
        last = now;
        listener(view, wants);
      };
      look();
      return ui.subscribe(look);
    },
    suspended: () => suspended,
    async close() {
      closed = true;
      clearInterval(tick);
      screen.off('resize', redraw);
      store.close();
      await erase();
      screen.leave();
      // Who leaves by key knows it; what else ended the view is said where it can be read.
      if (lastWords !== '' && !(interrupted && options.quit === 'quit')) stdout.write(`${lastWords}\n`);
    },
  };
}

const sentenceOf = ({ message, hint }: Problem): string => (hint === undefined ? message : `${message}: ${hint}`);
