import { LEVELS } from './log-entry.ts';

export const VIEW_IDS = ['services', 'requests', 'routes', 'topology', 'logs', 'certificates', 'config'] as const;
export type ViewId = (typeof VIEW_IDS)[number];

/** What the user chose in one list. */
export interface ListState {
  /** Key of a row; null: the first one, or in a list that grows at its end the last one, whatever comes. */
  selected: string | null;
  filter: string;
  /** Index into the sort orders of the view. */
  sort: number;
}

export interface UiState {
  view: ViewId;
  lists: Readonly<Record<ViewId, ListState>>;
  paused: boolean;
  help: boolean;
  /** The row that is looked at in full, and how far down. */
  detail: { key: string; scroll: number } | null;
  /** The filter as it was before it is being typed; null: nothing is being typed. */
  typing: { before: string } | null;
  /** A question that waits for `y`. */
  confirm: { service: string } | null;
  /** Least level of log lines: index into LEVELS. */
  level: number;
  /** Requests are shown with their bodies. */
  bodies: boolean;
}

/** What there is to act on when a key comes. */
export interface Scene {
  /** Of the rows shown, in their order. */
  keys: readonly string[];
  /** Whether the end of the list is where new rows come. */
  grows: boolean;
  /** Rows that fit. */
  page: number;
  sorts: number;
  /** Of the selected row. */
  service: { name: string; stopped: boolean; owned: boolean } | null;
  /** `file:line` of the selected row; null: that of its service. */
  place: string | null;
  /** Lines of the detail page, and how many of them fit. */
  detailLines: number;
  detailPage: number;
}

export type Effect =
  | { kind: 'interrupt' }
  | { kind: 'operate'; action: 'restart' | 'start' | 'stop'; service: string }
  | { kind: 'edit'; service: string | null; place: string | null };

export interface Step {
  state: UiState;
  effect: Effect | null;
}

const EMPTY_LIST: ListState = { selected: null, filter: '', sort: 0 };

export const initialUi = (view: ViewId = 'services'): UiState => ({
  view,
  lists: Object.fromEntries(VIEW_IDS.map((id) => [id, EMPTY_LIST])) as Record<ViewId, ListState>,
  paused: false,
  help: false,
  detail: null,
  typing: null,
  confirm: null,
  level: 0,
  bodies: false,
});

/**
 * One key: a character, or `up`, `down`, `pageup`, `pagedown`, `home`, `end`, `enter`, `escape`, `backspace`, `tab`,
 * `shift-tab`, `ctrl-c`, `ctrl-u`.
 */
export function press(state: UiState, key: string, scene: Scene): Step {
  const still: Step = { state, effect: null };
  const to = (fields: Partial<UiState>): Step => ({ state: { ...state, ...fields }, effect: null });
  // Ctrl-C has one meaning wherever one is.
  if (key === 'ctrl-c') return { state, effect: { kind: 'interrupt' } };
  if (state.typing !== null) return type(state, key, state.typing);
  if (state.confirm !== null) {
    const { service } = state.confirm;
    const closed = { ...state, confirm: null };
    return { state: closed, effect: key === 'y' ? { kind: 'operate', action: 'stop', service } : null };
  }
  if (state.help) return to({ help: false });

  const list = state.lists[state.view];
  switch (key) {
    case 'q':
      return { state, effect: { kind: 'interrupt' } };
    case '?':
      return to({ help: true });
    case 'p':
    case ' ':
      return to({ paused: !state.paused });
    case 'tab':
      return show(state, VIEW_IDS[(VIEW_IDS.indexOf(state.view) + 1) % VIEW_IDS.length]);
    case 'shift-tab':
      return show(state, VIEW_IDS[(VIEW_IDS.indexOf(state.view) + VIEW_IDS.length - 1) % VIEW_IDS.length]);
    case 'e':
      if (scene.place === null && scene.service === null && state.view !== 'config') return still;
      return { state, effect: { kind: 'edit', service: scene.service?.name ?? null, place: scene.place } };
    case 'b':
      return state.view === 'requests' ? to({ bodies: !state.bodies }) : still;
    case 'l':
      return scene.service === null ? still : logsOf(state, scene.service.name);
  }
  const number = /^[1-7]$/.test(key) ? Number(key) : 0;
  if (number > 0) return show(state, VIEW_IDS[number - 1]);
  if (state.detail !== null) return inDetail(state, key, state.detail, scene);

  switch (key) {
    case '/':
      return to({ typing: { before: list.filter } });
    case 's':
      return scene.sorts < 2
        ? still
        : { state: withList(state, { sort: (list.sort + 1) % scene.sorts }), effect: null };
    case 'v':
      return state.view === 'logs' ? to({ level: (state.level + 1) % LEVELS.length }) : still;
    case 'escape':
      // One step back at a time: the choice of a row, then the filter.
      if (list.selected !== null && scene.grows) return { state: withList(state, { selected: null }), effect: null };
      return { state: withList(state, { filter: '' }), effect: null };
    case 'enter': {
      const selected = selectedKey(list, scene);
      return selected === null ? still : to({ detail: { key: selected, scroll: 0 } });
    }
    case 'r':
    case 'x':
      return operate(state, key, scene);
  }
  const selected = move(key, list.selected, scene);
  return selected === undefined ? still : { state: withList(state, { selected }), effect: null };
}

function operate(state: UiState, key: 'r' | 'x', { service }: Scene): Step {
  if (state.view !== 'services' || service === null || !service.owned) return { state, effect: null };
  if (key === 'r') return { state, effect: { kind: 'operate', action: 'restart', service: service.name } };
  if (service.stopped) return { state, effect: { kind: 'operate', action: 'start', service: service.name } };
  return { state: { ...state, confirm: { service: service.name } }, effect: null };
}

function type(state: UiState, key: string, { before }: { before: string }): Step {
  const { filter } = state.lists[state.view];
  const to = (text: string, done: boolean): Step => ({
    state: withList({ ...state, typing: done ? null : state.typing }, { filter: text, selected: null }),
    effect: null,
  });
  if (key === 'enter') return to(filter.trim(), true);
  if (key === 'escape') return to(before, true);
  if (key === 'ctrl-u') return to('', false);
  if (key === 'backspace') return to([...filter].slice(0, -1).join(''), false);
  return [...key].length === 1 ? to(filter + key, false) : { state, effect: null };
}

function inDetail(state: UiState, key: string, detail: { key: string; scroll: number }, scene: Scene): Step {
  if (key === 'escape' || key === 'enter' || key === 'backspace') {
    return { state: { ...state, detail: null }, effect: null };
  }
  const last = Math.max(0, scene.detailLines - scene.detailPage);
  const by: Record<string, number> = {
    j: 1,
    down: 1,
    k: -1,
    up: -1,
    pagedown: scene.detailPage,
    pageup: -scene.detailPage,
    g: -scene.detailLines,
    home: -scene.detailLines,
    G: scene.detailLines,
    end: scene.detailLines,
  };
  if (!Object.hasOwn(by, key)) return { state, effect: null };
  const scroll = Math.min(last, Math.max(0, detail.scroll + by[key]));
  return { state: { ...state, detail: { ...detail, scroll } }, effect: null };
}

function show(state: UiState, view: ViewId): Step {
  return { state: { ...state, view, detail: null }, effect: null };
}

function logsOf(state: UiState, service: string): Step {
  const logs = { ...state.lists.logs, filter: `service:${service}`, selected: null };
  return { state: { ...state, view: 'logs', detail: null, lists: { ...state.lists, logs } }, effect: null };
}

const withList = (state: UiState, fields: Partial<ListState>): UiState => ({
  ...state,
  lists: { ...state.lists, [state.view]: { ...state.lists[state.view], ...fields } },
});

/** Where the selected row is now; a row that is gone hands over to the nearest end. Negative: there are no rows. */
export function selectedIndex({ selected }: ListState, { keys, grows }: Pick<Scene, 'keys' | 'grows'>): number {
  if (selected === null) return grows ? keys.length - 1 : Math.min(0, keys.length - 1);
  const at = keys.indexOf(selected);
  return at >= 0 ? at : Math.min(0, keys.length - 1);
}

function selectedKey(list: ListState, scene: Scene): string | null {
  return scene.keys[selectedIndex(list, scene)] ?? null;
}

/** Key of the row that a movement leads to; undefined: the key moves nothing. */
function move(key: string, selected: string | null, scene: Scene): string | null | undefined {
  const { keys, grows, page } = scene;
  const last = keys.length - 1;
  const at = selectedIndex({ selected, filter: '', sort: 0 }, scene);
  const targets: Record<string, number> = {
    j: at + 1,
    down: at + 1,
    k: at - 1,
    up: at - 1,
    pagedown: at + page,
    pageup: at - page,
    g: 0,
    home: 0,
    G: last,
    end: last,
  };
  if (!Object.hasOwn(targets, key) || last < 0) return undefined;
  const target = Math.min(last, Math.max(0, targets[key]));
  // At the end of a list that grows one stays at its end.
  return grows && target === last ? null : keys[target];
}

/** First row shown, so that the selected one is in the middle where that is possible. */
export function windowStart(count: number, selected: number, height: number): number {
  return Math.max(0, Math.min(count - height, selected - Math.floor(height / 2)));
}
