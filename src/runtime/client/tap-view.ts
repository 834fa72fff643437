import { DEFAULT_BODY_LIMIT_BYTES, type EventBody, MOST_BODY_LIMIT_BYTES } from '../../model/bodies.ts';
import { bodyLines, bodySummary } from '../../model/body-text.ts';
import type { RequestEvent, TapFilter } from '../../model/events.ts';
import { grpcCodeName } from '../../model/proxy-span.ts';
import { fail, ok, type Result } from '../../model/result.ts';
import type { MeshStatus, ServiceStatus } from '../../model/status.ts';
import { checkTapFilter, parseHeaderFilter } from '../../model/tap-filter.ts';
import { parseSize } from '../../model/units.ts';
import { plain } from '../telemetry/event-text.ts';
import { knownServices, parseLimit } from './arguments.ts';
import type { Style } from './style.ts';

/** What the command line gives; a flag that was left out is undefined. */
export interface TapFlags {
  from?: string;
  to?: string;
  method?: string;
  path?: string;
  route?: string;
  protocol?: string;
  status?: string;
  'min-duration'?: string;
  header?: string[];
  direction: string;
  'max-rps': number;
  'show-header'?: string[];
  bodies?: boolean;
  'body-limit'?: string;
}

/** @returns MESH-U102 or MESH-U103 for what no request could match */
export function parseTapFilter(service: string | undefined, flags: TapFlags, status: MeshStatus): Result<TapFilter> {
  const named = [service, flags.from, flags.to].filter((name) => name !== undefined && name !== 'gateway') as string[];
  const known = knownServices(status, named);
  if (!known.ok) return known;
  if (flags.to === 'gateway') {
    return fail({
      code: 'MESH-U102',
      message: 'no request in the mesh is sent to the gateway',
      hint: 'did you mean `--from gateway`?',
    });
  }
  const minDuration = flags['min-duration'] === undefined ? ok(0) : parseLimit('--min-duration', flags['min-duration']);
  if (!minDuration.ok) return minDuration;
  const bodyLimit = parseBodyLimit(flags);
  if (!bodyLimit.ok) return bodyLimit;
  return checkTapFilter({
    service: service ?? '',
    from: flags.from ?? '',
    to: flags.to ?? '',
    method: flags.method ?? '',
    path: flags.path ?? '',
    route: flags.route ?? '',
    protocol: flags.protocol ?? '',
    status: flags.status ?? '',
    minDurationMs: minDuration.value,
    headers: (flags.header ?? []).map(parseHeaderFilter),
    direction: flags.direction === 'both' ? '' : (flags.direction as 'inbound' | 'outbound'),
    maxPerSecond: flags['max-rps'],
    showHeaders: (flags['show-header'] ?? []).map((name) => name.toLowerCase()),
    bodyLimitBytes: bodyLimit.value,
  });
}

/** 0: bodies are not asked for. */
function parseBodyLimit({ bodies, 'body-limit': text }: TapFlags): Result<number> {
  const refuse = (message: string, hint: string) => fail({ code: 'MESH-U102', message, hint });
  if (!bodies && text === undefined) return ok(0);
  if (!bodies) return refuse('--body-limit without --bodies', 'add --bodies');
  const bytes = text === undefined ? DEFAULT_BODY_LIMIT_BYTES : parseSize(text);
  if (bytes !== null && bytes > 0 && bytes <= MOST_BODY_LIMIT_BYTES) return ok(bytes);
  return refuse(`\`${text}\` is no limit for bodies`, 'a size from 1 to 1Mi, such as 4Ki or 64Ki');
}

/** Bounds within which the column of names grows with the names seen. */
const EDGE_COLUMNS = { least: 16, most: 40 };

/** Formats requests as `10:00:01.234  web → orders  GET /x  200  1.2 ms  UF`, with more below where `wide` or headers are asked for. */
export function createTapFormat(style: Style, { wide }: { wide: boolean }): (event: RequestEvent) => string[] {
  let columns = EDGE_COLUMNS.least;
  return (event) => {
    const from = plain(event.source) || '?';
    const to = plain(event.destination) || '?';
    const arrow = event.direction === 'inbound' ? '⇥' : '→';
    const length = from.length + to.length + 3;
    columns = Math.min(EDGE_COLUMNS.most, Math.max(columns, length));
    const edge = `${style.ofName(from, from)} ${style.dim(arrow)} ${style.ofName(to, to)}${' '.repeat(Math.max(0, columns - length))}`;
    const words = [
      style.dim(event.time.slice(11, 23)),
      edge,
      style.bold(plain(event.method).padEnd(4)),
      plain(event.path) || plain(event.authority),
      statusText(event, style),
      duration(event.durationMs),
    ];
    if (event.responseFlags !== '') words.push(style.red(event.responseFlags));
    if (event.retries > 0) words.push(style.yellow(`${event.retries} ${event.retries === 1 ? 'retry' : 'retries'}`));
    const lines = [words.join('  ')];
    if (wide) lines.push(style.dim(`    ${details(event)}`));
    for (const [name, value] of event.requestHeaders)
      lines.push(`    ${style.dim('>')} ${style.cyan(plain(name))}: ${plain(value)}`);
    for (const [name, value] of event.responseHeaders)
      lines.push(`    ${style.dim('<')} ${style.cyan(plain(name))}: ${plain(value)}`);
    if (event.requestBody !== undefined) lines.push(...body(event.requestBody, '>', style));
    if (event.responseBody !== undefined) lines.push(...body(event.responseBody, '<', style));
    return lines;
  };
}

/** Nothing of a body that there was not. */
function body(shown: EventBody, mark: string, style: Style): string[] {
  if (shown.bytes === 0 && shown.note === '') return [];
  return [
    `    ${style.dim(`${mark} body: ${plain(bodySummary(shown))}`)}`,
    // Tabs are common in texts and harmless, but their width is not known.
    ...bodyLines(shown).map((text) => `    ${style.dim(mark)}   ${plain(text.replaceAll('\t', '  '))}`),
  ];
}

function statusText({ status, grpcStatus, protocol }: RequestEvent, style: Style): string {
  if (status === 0) return style.red('no response');
  if (grpcStatus !== null && status === 200) {
    const code = grpcCodeName(grpcStatus);
    const name = /^\d/.test(code) ? `status ${code}` : code;
    return grpcStatus === 0 ? style.green(name) : style.red(name);
  }
  const text = protocol === 'tcp' && status === 200 ? 'closed' : String(status);
  if (status >= 500) return style.red(text);
  return status >= 400 ? style.yellow(text) : style.green(text);
}

function details(event: RequestEvent): string {
  const timing = [
    event.pickedAfterMs === null ? '' : `picked ${duration(event.pickedAfterMs)}`,
    event.connectedAfterMs == null ? '' : `connected ${duration(event.connectedAfterMs)}`,
    event.firstByteAfterMs === null ? '' : `first byte ${duration(event.firstByteAfterMs)}`,
  ].filter((text) => text !== '');
  return [
    event.instance === '' ? 'no instance' : event.instance,
    event.route === '' ? 'no route' : `route ${plain(event.route)}`,
    event.protocol,
    plain(event.authority),
    event.tls ? `mTLS ${event.peer}` : 'plain',
    `${event.requestBytes} B in, ${event.responseBytes} B out`,
    ...timing,
    `trace ${event.traceId}`,
  ]
    .filter((text) => text !== '')
    .join('  ');
}

/** Two or three significant figures: `0.35 ms`, `12 ms`, `1.2 s`. */
export function duration(ms: number): string {
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  return `${ms < 1 ? ms.toFixed(2) : ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}

/** Why nothing is to be seen. @param filtered requests that were seen and did not match */
export function explainSilence(filter: TapFilter, filtered: number, waitedMs: number, status: MeshStatus): string {
  const seconds = `${Math.round(waitedMs / 1_000)} s`;
  const down = status.services
    .filter(({ name }) => [filter.service, filter.from, filter.to].includes(name))
    .flatMap(whyDown);
  if (down.length > 0) return `nothing matches: ${down.join('; ')}`;
  if (filtered > 0) {
    const requests = filtered === 1 ? '1 request was' : `${filtered} requests were`;
    return `nothing matches: ${requests} seen in ${seconds} and filtered out by ${restrictions(filter).join(', ') || 'the filter'}`;
  }
  const { http, https } = status.gateway;
  const url =
    http !== undefined ? `http://127.0.0.1:${http}/` : https !== undefined ? `https://localhost:${https}/` : '';
  const idle = status.services.filter(({ external, task }) => !external && !task).flatMap(whyDown);
  const hint = idle.length > 0 ? `; ${idle.slice(0, 3).join('; ')}` : url === '' ? '' : `; try \`curl ${url}\``;
  return `no traffic at all in ${seconds}${hint}`;
}

function whyDown(service: ServiceStatus): string[] {
  if (service.external || service.instances.some(({ state }) => state === 'ready' || state === 'unhealthy')) return [];
  const [instance] = service.instances;
  if (service.task) return [`${service.name} is a task and takes no requests`];
  if (instance === undefined) return [`${service.name} has no instances`];
  const why = instance.reason === '' ? '' : `: ${plain(instance.reason)}`;
  return [`${service.name} is down (${instance.id} is ${instance.state}${why})`];
}

function restrictions(filter: TapFilter): string[] {
  const flags: [string, string][] = [
    ['', filter.service],
    ['--from ', filter.from],
    ['--to ', filter.to],
    ['--method ', filter.method],
    ['--path ', filter.path],
    ['--route ', filter.route],
    ['--protocol ', filter.protocol],
    ['--status ', filter.status],
    ['--min-duration ', filter.minDurationMs > 0 ? `${filter.minDurationMs}ms` : ''],
    ...filter.headers.map(([name, value]): [string, string] => ['--header ', value === '' ? name : `${name}=${value}`]),
  ];
  return flags.filter(([, value]) => value !== '').map(([flag, value]) => `\`${flag}${plain(value)}\``);
}
