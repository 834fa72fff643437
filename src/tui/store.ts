import type { Problem } from '../model/result.ts';
import type { LogLine, MeshStatus } from '../model/status.ts';

/** One line of the lower half of the view. */
export interface FeedLine {
  key: number;
  kind: 'log' | 'notice';
  level: 'info' | 'warning' | 'error';
  /** Instance of a log line, service of a notice; empty: the mesh. */
  source: string;
  text: string;
}

/** All that is drawn; a new object for each change. */
export interface View {
  status: MeshStatus | null;
  feed: readonly FeedLine[];
  /** Set once everything asked for is ready. */
  readyAfterMs: number | null;
  ready: boolean;
  /** The last remark about the mesh as a whole: `stopping, Ctrl-C again to force`. */
  remark: string;
}

/** For useSyncExternalStore. */
export interface ViewSource {
  subscribe(listener: () => void): () => void;
  getSnapshot(): View;
}

export interface ViewStore extends ViewSource {
  status(status: MeshStatus): void;
  logs(lines: readonly LogLine[]): void;
  notice(notice: { level: FeedLine['level']; service: string; text: string; problems: readonly Problem[] }): void;
  ready(tookMs: number | null): void;
  say(text: string): void;
  /** Delivers what is pending at once and draws no more. */
  close(): void;
}

/** Ten frames a second: more is not seen and costs what the services could use. */
const FRAME_MS = 100;
/** Lines kept; no terminal shows more at a time. */
const FEED_LINES = 300;

/** Gathers changes and tells its subscribers at most once for each frame. */
export function createViewStore(
  setTimer: (callback: () => void, ms: number) => unknown = setTimeout,
  clearTimer: (timer: never) => void = clearTimeout,
): ViewStore {
  const listeners = new Set<() => void>();
  let view: View = { status: null, feed: [], ready: false, readyAfterMs: null, remark: '' };
  let draft: View = view;
  let feed: FeedLine[] = [];
  let nextKey = 0;
  let timer: unknown = null;
  let closed = false;

  const publish = () => {
    timer = null;
    view = draft;
    for (const listener of listeners) listener();
  };
  const change = (fields: Partial<View>) => {
    draft = { ...draft, ...fields };
    if (timer === null && !closed) timer = setTimer(publish, FRAME_MS);
  };
  const append = (lines: Omit<FeedLine, 'key'>[]) => {
    feed = [...feed, ...lines.map((line) => ({ ...line, key: nextKey++ }))].slice(-FEED_LINES);
    change({ feed });
  };

  return {
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    getSnapshot: () => view,
    status: (status) => change({ status }),
    logs: (lines) =>
      append(
        lines.slice(-FEED_LINES).map(({ instance, stream, text }) => ({
          kind: 'log',
          level: stream === 'stderr' ? 'warning' : 'info',
          source: instance,
          text: plain(text),
        })),
      ),
    notice: ({ level, service, text, problems }) =>
      append([
        { kind: 'notice', level, source: service, text: plain(text) },
        ...problems.map(
          (problem): Omit<FeedLine, 'key'> => ({
            kind: 'notice',
            level: problem.severity === 'warning' ? 'warning' : 'error',
            source: placeOf(problem),
            text: plain(`${problem.message}${problem.hint === undefined ? '' : `: ${problem.hint}`}`),
          }),
        ),
      ]),
    ready: (tookMs) => change({ ready: true, readyAfterMs: tookMs }),
    say(text) {
      append([{ kind: 'notice', level: 'info', source: '', text: plain(text) }]);
      change({ remark: text });
    },
    close() {
      closed = true;
      if (timer !== null) clearTimer(timer as never);
      publish();
    },
  };
}

const placeOf = ({ file, line, path }: Problem): string =>
  line === undefined ? (path ?? '') : `${file?.split('/').at(-1) ?? ''}:${line}`;

/** Without escape sequences and control characters: a frame that is drawn over must keep its width. */
function plain(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
      .replaceAll(/\u001b\[[0-9;:?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b./g, '')
      .replaceAll('\t', '  ')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
      .replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '')
      .split('\n')[0]
  );
}
