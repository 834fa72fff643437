import { Args, Flags } from '@oclif/core';
import { MeshCommand } from '../../runtime/client/base-command.ts';
import {
  databaseUrl,
  openPsql,
  renderStatement,
  runStatements,
  statementDocument,
} from '../../runtime/client/database.ts';

export default class DbPsql extends MeshCommand {
  static override summary = 'Open psql on a database, or run statements.';
  static override description =
    'Connects without proxies, or with `--as` the way a service does. `--command` needs no psql: it prints a table, or JSON. What follows `--` goes to psql.';
  static override examples = [
    '$ mesh db psql ordersdb',
    "$ mesh db psql ordersdb -c 'SELECT * FROM orders'",
    '$ mesh db psql ordersdb --as orders',
    '$ mesh db psql ordersdb -- -f seed.sql',
  ];
  static override strict = false;
  static override args = { name: Args.string({ required: true, description: 'the database, a name of `resources`' }) };
  static override flags = {
    command: Flags.string({ char: 'c', helpValue: 'SQL', description: 'run this and end' }),
    as: Flags.string({ helpValue: 'SERVICE', description: 'through the proxies of this service' }),
  };

  async run(): Promise<void> {
    const { args, argv, flags } = await this.parse(DbPsql);
    const client = await this.connect(flags);
    const { url } = this.unwrap(await databaseUrl(client, args.name, { as: flags.as, direct: flags.as === undefined }));
    if (flags.command === undefined) {
      process.exitCode = this.unwrap(await openPsql(args.name, url, argv.slice(1) as string[]));
      return;
    }
    const results = this.unwrap(await runStatements(args.name, url, flags.command));
    if (flags.json) this.printJson({ results: results.map(statementDocument) });
    else this.print(...results.flatMap((result) => renderStatement(result, this.style, this.columns)));
  }
}
