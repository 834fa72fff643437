import type { Coverage, InjectionStatus } from '../../../model/injection.ts';
import type { Style } from '../style.ts';

/** What happened, what of the process's traffic the mesh sees, and how to see the rest. */
export function injectionReport(status: InjectionStatus, style: Style): string[] {
  const { instance, service, protocolFrom, protocol, pid, coverage, state } = status;
  const process = pid === null ? '' : ` · pid ${pid}`;
  const spoken = protocolFrom === '' ? protocol : `${protocol} · ${protocolFrom}`;
  const lines = [
    `${style.ofName(service, style.bold(service))} is in the mesh as ${instance} ${style.dim(`· ${spoken}${process}`)}`,
  ];
  const taken = takeoverLine(status);
  if (taken !== '') lines.push(`  ${style.dim('·')} ${taken}`);
  if (state === 'waiting') lines.push(`  ${style.dim('·')} ready as soon as port ${status.port} accepts connections`);
  lines.push(...coverageLines(coverage, style));
  lines.push(
    style.dim(
      `  others call it as ${service}; \`mesh tap ${service}\` shows it, \`mesh eject ${service}\` takes it out again`,
    ),
  );
  return lines;
}

function takeoverLine({ takeover, service }: InjectionStatus): string {
  switch (takeover?.kind) {
    case 'all':
      return `all requests to ${service} go to it; the mesh's own instances stop and come back with the eject`;
    case 'match':
      return `requests to ${service} with ${takeover.header}: ${takeover.value} go to it, the others to the mesh's own`;
    case 'weight':
      return `${takeover.weight} % of the requests to ${service} go to it, the others to the mesh's own`;
    default:
      return '';
  }
}

/** A row for each direction or kind of client, with its fix below where there is one. */
export function coverageLines(coverage: readonly Coverage[], style: Style): string[] {
  const titles = coverage.map(({ direction, subject }) => (subject === '' ? direction : `${direction} ${subject}`));
  const columns = Math.max(0, ...titles.map(({ length }) => length));
  return coverage.flatMap(({ covered, detail, fix }, i) => {
    const sign = covered ? style.green('✓') : style.red('✗');
    const line = `  ${sign} ${titles[i].padEnd(columns)}  ${detail}`;
    return fix === '' ? [line] : [line, `    ${' '.repeat(columns)}  ${style.cyan(fix)}`];
  });
}
