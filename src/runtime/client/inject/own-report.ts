import type { InjectionStatus } from '../../../model/injection.ts';
import type { Style } from '../style.ts';
import type { OwnWorkload } from './inject-command.ts';

/** Before the command starts, so what is covered is what its environment leads to; `mesh ps` tells the rest later. */
export function ownReport(status: InjectionStatus, workload: OwnWorkload, style: Style): string[] {
  const { instance, service, port, protocol, inboundPort, outboundPort, environment } = status;
  const urls = Object.keys(environment).filter(
    (name) => name.endsWith('_URL') && `${name.slice(0, -4)}_SERVICE_PORT` in environment,
  );
  const named = urls.length > 4 ? [...urls.slice(0, 3), `${urls.length - 3} more`] : urls;
  const lines = [
    `${style.ofName(service, style.bold(service))} is in the mesh as ${instance} ${style.dim(`· ${protocol}`)}`,
    `  inbound   port ${port} (PORT) via :${inboundPort}, mutual TLS, as soon as it listens there`,
    `  outbound  ${[...named, 'http_proxy'].join(', ')} via :${outboundPort}; a client that ignores them stays outside`,
  ];
  if (workload.kind === 'environment')
    lines.push(style.dim(`  until this shell ends, or \`mesh eject ${service}\`; the variables stay`));
  return lines;
}
