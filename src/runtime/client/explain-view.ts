import path from 'node:path';
import type {
  EndpointChoice,
  EndpointsDecision,
  Explanation,
  Origin,
  OutcomeFacts,
  RuleDecision,
  TableDecision,
} from '../../model/explanation.ts';
import { grpcCodeName } from '../../model/proxy-span.ts';
import { percent } from '../explain/endpoint-decision.ts';
import { plain } from '../telemetry/event-text.ts';
import type { Style } from './style.ts';
import { duration } from './tap-view.ts';
import { type Column, formatMs, table } from './text.ts';

/** Earlier rules shown of one table; `--json` has more. */
const MOST_RULES = 12;
/** Column in which the decisions begin. */
const LABEL = 11;
/** Terminals narrower than this do without the addresses of endpoints. */
const ADDRESS_FROM = 120;

export interface ExplainView {
  style: Style;
  /** Files are named from here. */
  cwd: string;
  /** Width of the terminal; null: it is none. */
  columns: number | null;
}

/** The chain of decisions, from the name to what happened, for people. */
export function renderExplanation(explanation: Explanation, view: ExplainView): string[] {
  const { style } = view;
  const { listener, tables, backend, endpoints, identity, policy, tls, timeouts, retries, reply, outcome } =
    explanation;
  const lines = [headline(explanation, style), ''];
  const add = (label: string, first: string, ...rest: string[]) => {
    lines.push(`${style.bold(label.padEnd(LABEL))}${first}`, ...rest.map((line) => `${' '.repeat(LABEL)}${line}`));
  };

  add('name', plain(explanation.name.text));
  if (listener !== null)
    add('listener', `${listener.name}  port ${listener.port}, ${listener.kind}, ${listener.tls ? 'TLS' : 'plain'}`);
  for (const decision of tables) add('route', ...tableLines(decision, view));
  if (backend !== null) {
    const shares = backend.candidates.map((each) => `${target(each.service, each.subset)} ${percent(each.share)}`);
    const more = backend.candidates.length > 1 ? style.dim(`  (${shares.join(', ')})`) : '';
    add('backend', `${style.cyan(target(backend.service, backend.subset))}  ${backend.why}${more}`);
  }
  if (endpoints !== null) add('endpoint', endpointHead(endpoints), ...endpointLines(endpoints, view));
  if (identity !== null) {
    const until = identity.validUntil === null ? '' : style.dim(`  valid until ${identity.validUntil}`);
    if (identity.presented === null && identity.expected === null)
      add('identity', 'none: the service is outside the mesh');
    else
      add(
        'identity',
        `presents ${plain(identity.presented ?? 'none')}${until}`,
        `expects  ${plain(identity.expected ?? 'none')}`,
      );
  }
  if (tables.length > 0) {
    const filters = policy.filters.map(
      ({ filter, on, table: owner, route, changes }) =>
        `${filter} ${style.dim(`(${on}, ${plain(owner)} ${plain(route)})`)}  ${changes.map(plain).join('; ')}`,
    );
    add('policy', policy.authorization, ...(filters.length === 0 ? [style.dim('no filters')] : filters));
  }
  if (tls !== null) add('TLS', `${tls.text}${tls.serverName === '' ? '' : style.dim(`  SNI ${tls.serverName}`)}`);
  if (timeouts.length > 0) {
    const said = timeouts.map(
      ({ name, ms, origin }) =>
        `${`${name} ${ms === 0 ? 'none' : formatMs(ms)}`.padEnd(16)}${originText(origin, view)}`,
    );
    add('timeouts', said[0], ...said.slice(1));
  }
  if (backend !== null) add('retries', retryText(retries, view));
  if (reply !== null) {
    const flag = reply.flag === '' ? '' : ` ${reply.flag}`;
    add('answer', style.yellow(`${reply.status}${flag}  ${plain(reply.text)}`));
  }
  if (outcome !== null) add('happened', ...outcomeLines(outcome, explanation, style));
  for (const note of explanation.notes) add('note', style.dim(plain(note)));
  return lines;
}

function headline({ request, kind, outcome }: Explanation, style: Style): string {
  const { from, to, method, protocol } = request;
  const what = protocol === 'tcp' ? 'TCP connection' : `${plain(method)} ${plain(request.path)}`;
  const ends = `${style.ofName(from, plain(from) || '?')} → ${style.ofName(to, plain(to) || '?')}`;
  const when = kind === 'happened' ? `happened ${outcome!.time}` : 'might happen';
  return `${style.bold(what)}  ${ends}  ${style.dim(`${protocol}, ${when}`)}`;
}

function tableLines(
  { table: owner, taken, rules, earlier, omitted }: TableDecision,
  view: ExplainView,
): [string, ...string[]] {
  const { style } = view;
  const place = style.dim(
    `  (of ${plain(owner)}, ${taken === null ? `none of ${rules}` : `rule ${taken.position} of ${rules}`})`,
  );
  const first = taken === null ? style.red('no route') + place : style.green(ruleText(taken, view)) + place;
  const shown = closest(earlier);
  const hidden = earlier.length - shown.length + omitted;
  const lines = shown.map((rule) => {
    const why = rule.differences.map(({ text }) => plain(text)).join('; ');
    return `${style.dim('✗')} ${ruleText({ ...rule, match: '' }, view)}  ${style.yellow(why || 'it would take this request now')}`;
  });
  if (hidden > 0) lines.push(style.dim(`and ${hidden} more that differ further`));
  return [first, ...lines];
}

function closest(rules: readonly RuleDecision[]): RuleDecision[] {
  if (rules.length <= MOST_RULES) return [...rules];
  const near = [...rules].sort((a, b) => a.differences.length - b.differences.length).slice(0, MOST_RULES);
  return near.sort((a, b) => a.position - b.position);
}

const ruleText = ({ route, source, match }: RuleDecision, { cwd }: ExplainView): string =>
  [plain(route), shortSource(source, cwd), plain(match)].filter((text) => text !== '').join('  ');

/** `/shop/mesh.config.ts:12` from where the user stands. */
function shortSource(source: string, cwd: string): string {
  if (source === '') return '';
  const relative = path.relative(cwd, source);
  return plain(relative.startsWith('..') ? source : relative);
}

const target = (service: string, subset: string | null): string => (subset === null ? service : `${service}/${subset}`);

function endpointHead({ balancer, live, waiting }: EndpointsDecision): string {
  const parts = [plain(balancer)];
  if (waiting > 0) parts.push(`${waiting} ${waiting === 1 ? 'request waits' : 'requests wait'} for an instance`);
  if (!live) parts.push('as the control plane knows them');
  return parts.join(', ');
}

const MARKS = { next: '→', picked: '→', possible: '?', tried: '✗', skipped: '·' } as const;

function endpointLines({ endpoints }: EndpointsDecision, { style, columns }: ExplainView): string[] {
  if (endpoints.length === 0) return [style.yellow('there is none')];
  const paint = (text: string, { choice }: EndpointChoice) =>
    choice === 'next' || choice === 'picked' ? style.green(text) : choice === 'tried' ? style.red(text) : text;
  const [, ...rows] = table(
    endpoints,
    [
      { title: '', value: ({ choice }) => MARKS[choice], paint },
      { title: '', value: ({ instance }) => instance, paint },
      { title: '', value: ({ subset }) => (subset === 'default' ? '' : subset) },
      { title: '', value: ({ state }) => state },
      { title: '', value: ({ why }) => plain(why), paint },
      { title: '', value: triesText, paint: (text) => style.dim(text) },
      ...(columns !== null && columns < ADDRESS_FROM ? [] : [addressColumn(style)]),
    ],
    { columns: null },
  );
  return rows;
}

const addressColumn = (style: Style): Column<EndpointChoice> => ({
  title: '',
  value: ({ address, app }) => (app === null ? address : `${address}, application ${app}`),
  paint: (text) => style.dim(text),
});

/** What the caller's data plane has seen of it. */
function triesText({ inFlight, requests, failures }: EndpointChoice): string {
  const parts = failures === 0 ? [] : [`${failures} of ${requests} tries failed`];
  if (inFlight > 0) parts.push(`${inFlight} in flight`);
  return parts.join(', ');
}

function originText({ level, path: place, source }: Origin, { style, cwd }: ExplainView): string {
  if (level === 'built-in') return style.dim('built-in default');
  if (level === 'request') return style.dim(`header ${place} of the request`);
  const at = shortSource(source, cwd);
  return style.dim(`${level}: ${plain(place)}${at === '' ? '' : `  ${at}`}`);
}

function retryText(retries: Explanation['retries'], view: ExplainView): string {
  if (retries === null) return 'none, but for tries that reached no application';
  const { attempts, on, statusCodes, backoffMs, maxBackoffMs, origin } = retries;
  const conditions = [...on, ...statusCodes.map(String)].join(', ');
  const times = attempts === 1 ? 'once more' : `${attempts} times more`;
  return `${times} on ${conditions}; back-off ${backoffMs} to ${maxBackoffMs} ms; no budget  ${originText(origin, view)}`;
}

function outcomeLines(
  outcome: OutcomeFacts,
  { request: { protocol }, tls: hop }: Explanation,
  style: Style,
): [string, ...string[]] {
  const { status, grpcStatus, flags, retries, timing, tls, peer, others } = outcome;
  const answer =
    status === 0
      ? 'no response'
      : grpcStatus === null
        ? protocol === 'tcp' && status === 200
          ? 'closed'
          : String(status)
        : `${status}, gRPC ${grpcCodeName(grpcStatus)}`;
  const bad = status === 0 || status >= 500 || flags.length > 0 || (grpcStatus ?? 0) > 0;
  const again = retries === 0 ? '' : `, ${retries} ${retries === 1 ? 'retry' : 'retries'}`;
  const first = `${(bad ? style.red : style.green)(answer)} after ${duration(outcome.durationMs)}${again}, ${outcome.requestBytes} B in, ${outcome.responseBytes} B out`;
  const lines = flags.map(({ flag, meaning }) => style.red(`${plain(flag)}: ${plain(meaning)}`));
  const widest = Math.max(...timing.map(({ part }) => part.length));
  for (const { part, ms } of timing) lines.push(`${plain(part).padEnd(widest)}  ${duration(ms).padStart(8)}`);
  lines.push(
    `${!tls ? 'plain' : hop?.mode === 'external' ? 'TLS' : 'mutual TLS'}${peer === '' ? '' : ` with ${plain(peer)}`}`,
  );
  lines.push(
    style.dim(
      `id ${outcome.id}, trace ${outcome.traceId}${outcome.sampled ? '' : ', kept because it failed or was slow'}`,
    ),
  );
  if (others.length > 0) lines.push(style.dim('also in this trace:'));
  for (const { id, text } of others) lines.push(style.dim(`  ${id}  ${plain(text)}`));
  return [first, ...lines];
}
