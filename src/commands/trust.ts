import { Flags } from '@oclif/core';
import { MeshCommand } from '../runtime/client/base-command.ts';

export default class Trust extends MeshCommand {
  static override summary = "Put mesh's root CA into the system's and the browsers' trust stores.";
  static override description =
    'Then https://NAME.localhost is green in browsers and curl. The key of the root never leaves your data directory. Services need none of this: mesh gives them the CA through their environment.';
  static override examples = ['$ mesh trust', '$ mesh trust --uninstall'];
  static override flags = { uninstall: Flags.boolean({ description: 'take it out again' }) };

  async run(): Promise<void> {
    const { flags } = await this.parse(Trust);
    const { changeTrust } = await import('../runtime/client/trust.ts');
    const { lines, ...report } = this.unwrap(await changeTrust(flags.uninstall ? 'uninstall' : 'install'));
    if (flags.json) this.printJson(report);
    else this.print(...lines);
  }
}
