import { Args } from '@oclif/core';
import { onlyOf } from '../runtime/client/arguments.ts';
import { MeshCommand } from '../runtime/client/base-command.ts';
import { renderRoutes } from '../runtime/client/tables.ts';

export default class Routes extends MeshCommand {
  static override summary = 'Show the routes that the proxies run on right now.';
  static override description = 'TABLE is a service (its callers use this table) or `gateway`.';
  static override examples = ['$ mesh routes', '$ mesh routes gateway', '$ mesh routes inventory --json'];
  static override args = { table: Args.string({ description: 'only this table' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Routes);
    const client = await this.connect(flags);
    const routes = this.unwrap(onlyOf(await client.routes(), ({ table }) => table, args.table));
    if (flags.json) this.printJson({ routes });
    else this.print(...renderRoutes(routes, this.style, { columns: this.columns, cwd: process.cwd() }));
  }
}
