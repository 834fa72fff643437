import { Args } from '@oclif/core';
import { MeshCommand } from '../../runtime/client/base-command.ts';

export default class DbMigrate extends MeshCommand {
  static override summary = 'Apply the migrations of a database that are new.';
  static override description =
    'A mesh does that by itself when it starts and when a file is added; this is for after a failure. Output is in `mesh logs NAME-migrations`.';
  static override examples = ['$ mesh db migrate ordersdb'];
  static override args = { name: Args.string({ required: true, description: 'the database, a name of `resources`' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(DbMigrate);
    const client = await this.connect(flags);
    this.unwrap(await client.databases.migrate(args.name));
    this.done(flags.json, `${args.name} is up to date`, { database: args.name });
  }
}
