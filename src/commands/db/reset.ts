import { Args, Flags } from '@oclif/core';
import { shownUrl } from '../../model/resource-url.ts';
import { MeshCommand } from '../../runtime/client/base-command.ts';
import { confirmReset, databaseUrl } from '../../runtime/client/database.ts';

export default class DbReset extends MeshCommand {
  static override summary = 'Delete everything in a database and run its migrations again.';
  static override description =
    'A database that mesh runs is made anew, also a damaged one; of one given by URL all schemas are dropped. Services stay up: their connections break, and their next ones find the new database.';
  static override examples = ['$ mesh db reset ordersdb', '$ mesh db reset ordersdb --yes'];
  static override args = { name: Args.string({ required: true, description: 'the database, a name of `resources`' }) };
  static override flags = { yes: Flags.boolean({ char: 'y', description: 'do not ask' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(DbReset);
    const client = await this.connect(flags);
    const { url } = this.unwrap(await databaseUrl(client, args.name, { direct: true }));
    this.unwrap(await confirmReset(args.name, shownUrl(url), flags.yes));
    this.unwrap(await client.databases.reset(args.name));
    this.done(flags.json, `${args.name} is empty, its migrations are applied`, { database: args.name });
  }
}
