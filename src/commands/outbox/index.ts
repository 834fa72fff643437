import { MeshCommand } from '../../runtime/client/base-command.ts';
import { listOutboxes, renderOutboxes } from '../../runtime/client/outbox.ts';

export default class Outbox extends MeshCommand {
  static override summary = 'List the outboxes of the mesh, like `mesh outbox ls`.';
  static override examples = ['$ mesh outbox', '$ mesh outbox ls ordersdb', '$ mesh new outbox orders'];

  async run(): Promise<void> {
    const { flags } = await this.parse(Outbox);
    const report = this.unwrap(await listOutboxes(await this.connect(flags)));
    if (flags.json) this.printJson(report);
    else this.print(...renderOutboxes(report, this.style, this.columns));
  }
}
