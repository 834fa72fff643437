import type { MeshConfig, ServiceConfig } from '../config.ts';
import { problem } from '../errors.ts';
import type { CheckContext } from './context.ts';

type AccessLog = NonNullable<MeshConfig['telemetry']>['accessLog'] | ServiceConfig['accessLog'];

/** An access log has one destination. */
export function checkAccessLogs({ config, report }: CheckContext): void {
  const check = (log: AccessLog, path: string): void => {
    if (typeof log !== 'object' || log.output !== 'stdout' || log.file === undefined) return;
    report(
      problem('MESH-T101', {
        path: `${path}.file`,
        message: `the access log goes to stdout, so the file ${log.file} would stay empty`,
        hint: "remove file, or output: 'stdout'",
      }),
    );
  };
  check(config.telemetry?.accessLog, 'telemetry.accessLog');
  for (const [name, { accessLog }] of Object.entries(config.services)) check(accessLog, `services.${name}.accessLog`);
}
