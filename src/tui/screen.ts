import { sumOf } from '../model/traffic-sums.ts';
import { helpLines } from './help.ts';
import { stateColour } from './layout/columns.ts';
import { count, duration, percent, rate } from './layout/format.ts';
import { between, bold, clip, dim, type Line, line, tinted, widthOf } from './layout/lines.ts';
import type { View } from './store.ts';
import { type Scene, selectedIndex, type UiState, VIEW_IDS } from './ui-state.ts';
import { VIEWS } from './views/registry.ts';
import type { AnyView, Context, Size } from './views/view.ts';

/** What is looked at: the data, the user's choices, and the row of the detail page even when the list has lost it. */
export interface Looking {
  view: View;
  ui: UiState;
  /** Milliseconds since the epoch. */
  now: number;
  pinned: unknown;
  /** What `q` does here: `stop` the mesh, or only `quit`. */
  quit: 'stop' | 'quit';
}

/** Lines above and below the body. */
const [HEAD, FOOT] = [2, 2];
/** Below this the list of keys has to go. */
const FEW_ROWS = 10;

const definitionOf = ({ view }: UiState): AnyView => VIEWS[view];

const contextOf = ({ view, ui, now }: Looking): Context => ({ view, ui, list: ui.lists[ui.view], now });

function bodyOf({ columns, rows }: Size): Size {
  return { columns, rows: Math.max(1, rows - HEAD - (rows < FEW_ROWS ? 1 : FOOT)) };
}

interface Listed {
  definition: AnyView;
  context: Context;
  rows: readonly unknown[];
  keys: readonly string[];
  grows: boolean;
  selected: number;
}

function listed(looking: Looking): Listed {
  const definition = definitionOf(looking.ui);
  const context = contextOf(looking);
  const rows = definition.rows(context);
  const keys = unique(rows.map((row) => definition.keyOf(row)));
  const grows = definition.grows && context.list.sort === 0;
  return { definition, context, rows, keys, grows, selected: selectedIndex(context.list, { keys, grows }) };
}

/** Rows that share a key are told apart by their order. */
function unique(keys: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return keys.map((key) => {
    const count = seen.get(key) ?? 0;
    seen.set(key, count + 1);
    return count === 0 ? key : `${key} #${count}`;
  });
}

/** The row of the detail page as it is now, or as it was when it was last there. */
export function detailRow(looking: Looking): unknown {
  const { detail } = looking.ui;
  if (detail === null) return null;
  const { rows, keys } = listed(looking);
  return rows[keys.indexOf(detail.key)] ?? looking.pinned;
}

/** What a key acts on. */
export function sceneOf(looking: Looking, size: Size): Scene {
  const { definition, context, rows, keys, grows, selected } = listed(looking);
  const body = bodyOf(size);
  const row = looking.ui.detail === null ? rows[selected] : detailRow(looking);
  const name = row == null ? null : definition.serviceOf(row);
  const service = looking.view.status?.services.find((each) => each.name === name);
  return {
    keys,
    grows,
    page: Math.max(1, body.rows - 2),
    sorts: definition.sorts.length,
    service:
      service === undefined
        ? null
        : {
            name: service.name,
            stopped: service.instances.every(
              ({ state }) => state === 'stopped' || state === 'failed' || state === 'completed',
            ),
            owned: !service.external,
          },
    place: row == null ? null : definition.placeOf(row),
    detailLines: looking.ui.detail === null || row == null ? 0 : definition.detail(context, row, size.columns).length,
    detailPage: body.rows,
  };
}

/** The whole frame: `rows` lines at most, none wider than `columns`. */
export function frameOf(looking: Looking, size: Size): Line[] {
  const { view, ui } = looking;
  const body = bodyOf(size);
  const shown = ui.help
    ? helpLines(looking.quit)
    : view.status === null
      ? [line(dim('starting the mesh …'))]
      : content(looking, body);
  const lines = shown.slice(0, body.rows);
  while (lines.length < body.rows) lines.push(line(' '));
  const foot = [footLine(looking, size.columns), ...(size.rows < FEW_ROWS ? [] : [keysLine(looking, size.columns)])];
  return [titleLine(looking, size.columns), tabsLine(ui, size.columns), ...lines, ...foot]
    .slice(0, Math.max(1, size.rows))
    .map((each) => clip(each, size.columns));
}

function content(looking: Looking, body: Size): Line[] {
  const { definition, context, rows, selected } = listed(looking);
  const { detail } = looking.ui;
  if (detail !== null) {
    const row = detailRow(looking);
    if (row == null) return [line(dim('this is gone; Esc goes back'))];
    const lines = definition.detail(context, row, body.columns);
    return lines.slice(Math.min(detail.scroll, Math.max(0, lines.length - body.rows)));
  }
  if (rows.length === 0) {
    const { filter } = context.list;
    const why = definition.whyEmpty(context);
    if (filter !== '') {
      const all = definition.rows({ ...context, list: { ...context.list, filter: '' } }).length;
      if (all > 0) return [line(dim(`  the filter leaves none of ${all}; Esc clears it`))];
    }
    if (why !== '') return [line(dim(`  ${why}`))];
  }
  return definition.draw(context, rows, selected, body);
}

function titleLine({ view, ui }: Looking, columns: number): Line {
  const { status } = view;
  const paused = ui.paused ? [{ text: ' PAUSED ', inverse: true }] : [];
  if (status === null) return line(bold('mesh'), ' ', ...paused);
  const total = sumOf((view.stats ?? []).filter(({ source }) => source !== ''));
  const errors = status.config.problems.filter(({ severity }) => severity !== 'warning').length;
  const left = line(
    bold(status.mesh),
    ' ',
    tinted(status.state, stateColour(status.state)),
    dim(` v${status.config.version} `),
    ...paused,
    errors > 0 ? tinted(` last save not applied: ${errors} ${errors === 1 ? 'problem' : 'problems'}`, 'red') : '',
  );
  if (view.stats === null) return left;
  const failing = total.requests > 0 && total.success < 0.999;
  return between(
    left,
    line(
      `${rate(total.perSecond)} req/s`,
      total.requests === 0 ? '' : '  ',
      total.requests === 0 ? '' : tinted(`${percent(total.success)} ok`, failing ? 'red' : 'green'),
      dim(`  ${count(total.active)} in flight`),
    ),
    columns,
  );
}

/** The open one in brackets, so that it shows without colours; numbers alone where there is no room for names. */
function tabsLine({ view }: UiState, columns: number): Line {
  const draw = (named: boolean): Line =>
    VIEW_IDS.flatMap((id, index) => {
      const title = `${index + 1}${named || id === view ? ` ${VIEWS[id].title}` : ''}`;
      return [id === view ? bold(`[${title}]`, 'cyan') : dim(` ${title} `)];
    });
  const full = draw(true);
  return widthOf(full) <= columns ? full : draw(false);
}

function footLine(looking: Looking, columns: number): Line {
  const { view, ui, now } = looking;
  const { filter, sort } = ui.lists[ui.view];
  if (ui.confirm !== null)
    return line(tinted(`stop ${ui.confirm.service}? `, 'yellow'), bold('y'), ' yes, any other key no');
  if (ui.typing !== null)
    return line(bold('/'), filter, { text: ' ', inverse: true }, dim('  Enter keeps it, Esc takes it back'));
  const { sorts } = definitionOf(ui);
  const right = line(filter === '' ? '' : tinted(`/${filter}`, 'yellow'), sort === 0 ? '' : dim(`  by ${sorts[sort]}`));
  const said = view.remarkUntilMs !== null && view.remarkUntilMs <= now ? '' : view.remark;
  return between(line(bold(said === '' ? summaryOf(view) : said)), right, columns);
}

function keysLine({ ui, quit }: Looking, columns: number): Line {
  const definition = definitionOf(ui);
  const own = ui.detail === null ? definition.hints : ui.view === 'requests' ? 'Esc back  b bodies' : 'Esc back';
  const common = [
    ...(ui.detail === null
      ? ['Enter detail', '/ filter', ...(definition.sorts.length > 1 ? ['s sort'] : []), 'p pause']
      : []),
    '? help',
  ];
  return between(line(dim([own, ...common].filter((text) => text !== '').join('  '))), line(dim(`q ${quit}`)), columns);
}

/** How far the start is, then the URLs. */
function summaryOf({ status, ready, readyAfterMs }: View): string {
  if (status === null) return '';
  const { http, https } = status.gateway;
  const urls = [
    ...(http === undefined ? [] : [`http://localhost:${http}`]),
    ...(https === undefined ? [] : [`https://${status.mesh}.localhost:${https}`]),
  ].join('  ');
  const instances = status.services.flatMap((service) => service.instances);
  const done = instances.filter(({ state }) => state === 'ready' || state === 'completed').length;
  if (!ready && done < instances.length) return `${done} of ${instances.length} ready`;
  const took = readyAfterMs === null ? '' : ` in ${duration(readyAfterMs)}`;
  return `ready${took}${urls === '' ? '' : `  ${urls}`}`;
}
