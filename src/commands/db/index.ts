import { MeshCommand } from '../../runtime/client/base-command.ts';
import { listDatabases, renderDatabases } from '../../runtime/client/database.ts';

export default class Db extends MeshCommand {
  static override summary = 'List the databases of the mesh.';
  static override description = 'Their addresses are those without proxies, passwords left out.';
  static override examples = ['$ mesh db', '$ mesh db psql ordersdb', '$ mesh db reset ordersdb'];

  async run(): Promise<void> {
    const { flags } = await this.parse(Db);
    const databases = await listDatabases(await this.connect(flags));
    if (flags.json) this.printJson({ databases });
    else this.print(...renderDatabases(databases, this.style, this.columns));
  }
}
