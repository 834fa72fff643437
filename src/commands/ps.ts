import { MeshCommand } from '../runtime/client/base-command.ts';
import { renderStatus } from '../runtime/client/tables.ts';

export default class Ps extends MeshCommand {
  static override summary = 'Show services, instances, states, ports, restarts and identities.';
  static override description =
    'Problems of the last save of mesh.config.ts are shown below the table; until they are solved the previous configuration stays in force.';
  static override examples = ['$ mesh ps', "$ mesh ps --json | jq '.services[].instances[].state'"];

  async run(): Promise<void> {
    const { flags } = await this.parse(Ps);
    const client = await this.connect(flags);
    const status = await client.status();
    if (flags.json) this.printJson(status);
    else
      this.print(...renderStatus(status, this.style, { columns: this.columns, now: Date.now(), cwd: process.cwd() }));
  }
}
