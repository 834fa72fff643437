import { Args } from '@oclif/core';
import { MeshCommand } from '../../runtime/client/base-command.ts';
import { renderCertificates } from '../../runtime/client/tables.ts';

export default class CertsRotate extends MeshCommand {
  static override summary = 'Issue new certificates now; no connection is closed for it.';
  static override description = 'Returns when the new certificates are in force in every proxy.';
  static override examples = ['$ mesh certs rotate', '$ mesh certs rotate orders'];
  static override args = { service: Args.string({ description: 'only this service (default: all)' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(CertsRotate);
    const client = await this.connect(flags);
    const certificates = this.unwrap(await client.rotateCertificates(args.service ?? null));
    if (flags.json) this.printJson({ certificates });
    else this.print(...renderCertificates(certificates, this.style, this.columns));
  }
}
