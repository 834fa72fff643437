import { MeshCommand } from '../runtime/client/base-command.ts';
import { exitCodes } from '../runtime/client/exit-codes.ts';

export default class Doctor extends MeshCommand {
  static override summary = 'Check what can be wrong on this machine, each with its fix.';
  static override description =
    'Trust is tested by a real TLS handshake. Exit code 1 if a check failed; warnings do not count.';
  static override examples = ['$ mesh doctor', '$ mesh doctor --json | jq \'.checks[] | select(.outcome != "ok")\''];

  async run(): Promise<void> {
    const { flags } = await this.parse(Doctor);
    const { examine, renderCheck, summary } = await import('../runtime/client/doctor/examine.ts');
    const checks = [];
    for await (const check of examine(process.cwd(), flags.config)) {
      checks.push(check);
      if (!flags.json) this.print(...renderCheck(check, this.style));
    }
    const healthy = checks.every(({ outcome }) => outcome !== 'failed');
    if (!healthy) process.exitCode = exitCodes.failed;
    if (flags.json) this.printJson({ healthy, checks });
    else this.print('', summary(checks));
  }
}
