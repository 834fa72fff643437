import { Args } from '@oclif/core';
import { MeshCommand } from '../../runtime/client/base-command.ts';
import { listOutboxes, renderOutboxes } from '../../runtime/client/outbox.ts';

export default class OutboxLs extends MeshCommand {
  static override summary = 'List the outboxes of the mesh: events waiting, lag, throughput.';
  static override description =
    'WAITING and OLDEST are of events that are not published, LAG is the log that PostgreSQL keeps for the relay, PUBLISHED/S an average over 10 seconds, DEAD the events given up, which are in the table outbox_dead_letters.';
  static override examples = ['$ mesh outbox ls', '$ mesh outbox ls ordersdb', '$ mesh outbox ls --json'];
  static override args = { name: Args.string({ description: 'a database, a name of `resources`; all without it' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(OutboxLs);
    const report = this.unwrap(await listOutboxes(await this.connect(flags), args.name));
    if (flags.json) this.printJson(report);
    else this.print(...renderOutboxes(report, this.style, this.columns));
  }
}
