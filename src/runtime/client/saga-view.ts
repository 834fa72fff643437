import { plain } from '../telemetry/event-text.ts';
import type { SagaCall, SagaDetails, SagaPage, SagaService, SagaSummary } from './saga.ts';
import type { Style } from './style.ts';
import { formatMs, table } from './text.ts';

/** `mesh saga` */
export function renderSagaServices(services: readonly SagaService[], style: Style, columns: number | null): string[] {
  if (services.length === 0) return ['no running service has sagas; `mesh new saga NAME` makes one'];
  const count = (state: string) => ({
    title: state.toUpperCase(),
    value: ({ counts }: SagaService) => String(counts[state] ?? 0),
    align: 'right' as const,
    paint: (text: string, { counts }: SagaService) => (counts[state] ? paintSaga(style, state, text) : style.dim(text)),
  });
  return table(
    services,
    [
      { title: 'SERVICE', value: ({ service }) => service, paint: (text) => style.ofName(text.trim(), text) },
      ...['running', 'compensating', 'parked', 'completed', 'compensated'].map(count),
    ],
    { columns, title: style.bold },
  );
}

/** `mesh saga ls` */
export function renderSagas(
  { sagas, counts, next }: SagaPage,
  style: Style,
  { columns, now }: { columns: number | null; now: number },
): string[] {
  const totals = Object.entries(counts).map(([state, count]) => paintSaga(style, state, `${count} ${plain(state)}`));
  if (sagas.length === 0) return [totals.length === 0 ? 'no sagas yet' : `none in this state: ${totals.join(', ')}`];
  return [
    ...table(
      sagas,
      [
        { title: 'ID', value: ({ id }) => plain(id), shrinkTo: 12, paint: (text) => style.cyan(text) },
        { title: 'KIND', value: ({ kind }) => plain(kind), shrinkTo: 8 },
        {
          title: 'STATE',
          value: ({ state }) => plain(state),
          paint: (text, { state }) => paintSaga(style, state, text),
        },
        { title: 'STEP', value: ({ step }) => plain(step ?? '-') },
        { title: 'AGE', value: ({ createdAt }) => age(createdAt, now), align: 'right' },
        { title: 'WHY', value: (saga) => plain(whyOf(saga) || '-'), shrinkTo: 16 },
      ],
      { columns, title: style.bold },
    ),
    '',
    `${totals.join(', ')}${next === undefined ? '' : style.dim('; the older ones are not shown, see -n')}`,
  ];
}

/** `mesh saga show` */
export function renderSaga(saga: SagaDetails, service: string, style: Style, columns: number | null): string[] {
  const { id, kind, state, failure, obstacle, createdAt, updatedAt, steps, history } = saga;
  const tookMs = Date.parse(updatedAt) - Date.parse(createdAt);
  const head = [
    `${plain(kind)} ${style.cyan(plain(id))}`,
    paintSaga(style, state, plain(state)),
    style.dim(plain(createdAt)),
    ...(tookMs >= 0 ? [formatMs(tookMs)] : []),
  ];
  const lines = [head.join('  ')];
  if (failure !== null) lines.push(`failed: ${plain(failure)}`);
  if (obstacle !== null) lines.push(style.red(`cannot be compensated: ${plain(obstacle)}`));
  lines.push(
    '',
    ...table(
      steps,
      [
        { title: 'STEP', value: ({ name }) => plain(name) },
        {
          title: 'STATE',
          value: (step) => plain(step.state),
          paint: (text, step) => paintStep(style, step.state, text),
        },
        { title: 'CALLS', value: ({ attempts }) => String(attempts), align: 'right' },
      ],
      { columns, title: style.bold },
    ),
  );
  if (history.length > 0) lines.push('', ...renderHistory(history, createdAt, style, columns));
  if (state === 'parked') {
    lines.push(
      '',
      `once the cause is gone: mesh request --as ${service} ${service} /sagas/${encodeURIComponent(id)}/resume -X POST`,
      style.dim('with ?skip=true where the compensation has been done by hand'),
    );
  }
  return lines;
}

function renderHistory(history: readonly SagaCall[], from: string, style: Style, columns: number | null): string[] {
  const sinceMs = (time: string): number => Date.parse(time) - Date.parse(from);
  return table(
    history,
    [
      {
        title: 'AT',
        value: ({ startedAt }) => formatMs(sinceMs(startedAt)),
        align: 'right',
        paint: (text) => style.dim(text),
      },
      { title: 'CALL', value: (call) => plain(`${call.direction === 'action' ? '' : 'undo '}${call.step}`) },
      { title: 'TRY', value: ({ attempt }) => (attempt === 0 ? '-' : String(attempt)), align: 'right' },
      {
        title: 'OUTCOME',
        value: ({ outcome }) => plain(outcome ?? 'no end'),
        paint: (text, { outcome }) => paintStep(style, outcome ?? '', text),
      },
      {
        title: 'TOOK',
        value: ({ startedAt, endedAt }) => (endedAt === null ? '-' : formatMs(sinceMs(endedAt) - sinceMs(startedAt))),
        align: 'right',
      },
      { title: 'REPLICA', value: ({ replica }) => plain(replica), shrinkTo: 8, paint: (text) => style.dim(text) },
      { title: 'ERROR', value: ({ error }) => plain(error ?? '-'), shrinkTo: 12 },
    ],
    { columns, title: style.bold },
  );
}

const whyOf = ({ failure, obstacle }: SagaSummary): string => obstacle ?? failure ?? '';

function paintSaga(style: Style, state: string, text: string): string {
  if (state === 'completed') return style.green(text);
  if (state === 'parked') return style.red(text);
  return state === 'compensated' ? style.dim(text) : style.yellow(text);
}

function paintStep(style: Style, state: string, text: string): string {
  if (state === 'done') return style.green(text);
  if (state === 'refused' || state === 'failed' || state === 'stuck') return style.red(text);
  return state === 'compensated' || state === 'pending' || state === 'skipped' ? style.dim(text) : style.yellow(text);
}

function age(time: string, now: number): string {
  const ms = now - Date.parse(time);
  return Number.isNaN(ms) ? '-' : formatMs(Math.max(0, ms));
}
