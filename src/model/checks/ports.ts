import { problem } from '../errors.ts';
import { parseExternal } from '../external.ts';
import type { CheckContext } from './context.ts';

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);

/** Fixed ports belong to one listener each. */
export function checkPorts({ config, report }: CheckContext): void {
  const owners = new Map<number, string>();
  const claim = (port: number | undefined, owner: string, path: string): void => {
    if (port === undefined) return;
    const other = owners.get(port);
    if (other === undefined) {
      owners.set(port, owner);
      return;
    }
    report(
      problem('MESH-C209', {
        path,
        message: `port ${port} is already that of ${other}`,
        hint:
          path.startsWith('gateway') || path.startsWith('telemetry')
            ? 'choose another port'
            : 'choose another port, or leave it out to get a free one',
      }),
    );
  };
  claim(config.gateway?.http, 'the gateway (http)', 'gateway.http');
  claim(config.gateway?.https, 'the gateway (https)', 'gateway.https');
  claim(config.telemetry?.admin, 'the admin server', 'telemetry.admin');
  for (const [name, service] of Object.entries(config.services)) {
    claim(service.port, `service ${name}`, `services.${name}.port`);
  }
  // Several external services may well be one server, but not one that mesh itself starts.
  for (const [name, { external }] of Object.entries(config.services)) {
    if (external === undefined) continue;
    const address = parseExternal(external);
    if ('wrong' in address || !LOOPBACK.has(address.host)) continue;
    const other = owners.get(address.port);
    if (other === undefined) continue;
    report(
      problem('MESH-C209', {
        path: `services.${name}.external`,
        message: `port ${address.port} of this machine is already that of ${other}`,
        hint: 'one of the two ports is wrong',
      }),
    );
  }
}
