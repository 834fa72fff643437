import { Args, Flags } from '@oclif/core';
import { MeshCommand } from '../../runtime/client/base-command.ts';
import { databaseUrl } from '../../runtime/client/database.ts';

export default class DbUrl extends MeshCommand {
  static override summary = 'Print the URL of a database, password included.';
  static override description =
    'Without flags it is the one that a service which depends on the database has, through its proxies; where nobody does, the one without proxies.';
  static override examples = [
    '$ mesh db url ordersdb',
    '$ mesh db url ordersdb --direct',
    '$ pg_dump "$(mesh db url ordersdb --direct)" > orders.sql',
  ];
  static override args = { name: Args.string({ required: true, description: 'the database, a name of `resources`' }) };
  static override flags = {
    direct: Flags.boolean({ description: 'without proxies', exclusive: ['as'] }),
    as: Flags.string({ helpValue: 'SERVICE', description: 'through the proxies of this service' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(DbUrl);
    const client = await this.connect(flags);
    const { url, through } = this.unwrap(await databaseUrl(client, args.name, flags));
    if (flags.json) this.printJson({ url, through: through === '' ? null : through });
    else this.print(url);
  }
}
