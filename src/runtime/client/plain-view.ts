import type { LogLine, MeshStatus } from '../../model/status.ts';
import type { MeshNotice } from '../control/mesh-control.ts';
import { createLogFormat } from './log-view.ts';
import { renderProblem } from './render-problems.ts';
import { progressBetween } from './startup-progress.ts';
import type { Style } from './style.ts';
import { formatMs } from './text.ts';
import type { UpView } from './up.ts';
import { readyLine } from './urls.ts';

/** Lines from top to bottom: for pipes, files, CI and `--no-tui`. */
export function createPlainView(write: (text: string) => void, style: Style, cwd: string): UpView {
  const format = createLogFormat(style, { times: false });
  let previous: MeshStatus | null = null;
  const print = (...lines: string[]) => {
    if (lines.length > 0) write(`${lines.join('\n')}\n`);
  };
  return {
    status(status) {
      print(...renderProgress(previous, status, style));
      previous = status;
    },
    logs: (lines) => print(...lines.map(format)),
    notice: (notice) => print(...renderNotice(notice, style, cwd)),
    ready: (status, tookMs) => print(style.bold(readyLine(status, tookMs === null ? null : formatMs(tookMs)))),
    say: (text) => print(`${style.dim('mesh')} ${text}`),
    close: async () => undefined,
  };
}

export function renderProgress(previous: MeshStatus | null, status: MeshStatus, style: Style): string[] {
  const columns = Math.max(8, ...status.services.flatMap(({ instances }) => instances.map(({ id }) => id.length)));
  return progressBetween(previous, status).map(({ service, instance, tone, text }) => {
    const sign = tone === 'good' ? style.green('✓') : tone === 'bad' ? style.red('✗') : style.dim('·');
    return `${sign} ${style.ofName(service, instance.padEnd(columns))} ${text}`;
  });
}

export function renderNotice(notice: MeshNotice, style: Style, cwd: string): string[] {
  const paint = notice.level === 'error' ? style.red : notice.level === 'warning' ? style.yellow : style.cyan;
  const about = notice.service === '' ? '' : `${style.ofName(notice.service, notice.service)} `;
  // A notice that only passes a problem on says nothing that the problem does not say better.
  const repeated = about === '' && notice.problems.length === 1 && notice.problems[0].message === notice.text;
  return [
    ...(repeated ? [] : [`${paint(notice.level === 'info' ? 'mesh' : notice.level)} ${about}${notice.text}`]),
    ...notice.problems.flatMap((problem) => renderProblem(problem, style, cwd)),
  ];
}

/** One JSON object a line, told apart by `event`. */
export function createJsonView(write: (text: string) => void): UpView {
  const emit = (event: string, fields: object) => write(`${JSON.stringify({ event, ...fields })}\n`);
  return {
    status: (status) => emit('status', { status }),
    logs: (lines: LogLine[]) => {
      for (const line of lines) emit('log', line);
    },
    notice: (notice) => emit('notice', notice),
    ready: (status, tookMs) => emit('ready', { mesh: status.mesh, gateway: status.gateway, tookMs }),
    say: (text) => emit('message', { text }),
    close: async () => undefined,
  };
}
