import { MeshCommand } from '../../runtime/client/base-command.ts';
import { renderCertificates } from '../../runtime/client/tables.ts';

export default class Certs extends MeshCommand {
  static override summary = 'Show the certificates in force: SPIFFE ID, serial, expiry, issuer.';
  static override examples = ['$ mesh certs', '$ mesh certs --json', '$ mesh certs rotate orders'];

  async run(): Promise<void> {
    const { flags } = await this.parse(Certs);
    const client = await this.connect(flags);
    const certificates = await client.certificates();
    if (flags.json) this.printJson({ certificates });
    else this.print(...renderCertificates(certificates, this.style, this.columns));
  }
}
