import { Args } from '@oclif/core';
import { MeshCommand } from '../runtime/client/base-command.ts';

export default class Restart extends MeshCommand {
  static override summary = 'Restart one service without failing its callers.';
  static override description =
    'The old process serves until the new one is ready where that is possible; otherwise requests wait for it.';
  static override examples = ['$ mesh restart orders'];
  static override args = { service: Args.string({ required: true, description: 'service to restart' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Restart);
    const client = await this.connect(flags);
    this.unwrap(await client.restart(args.service));
    this.done(flags.json, `${args.service} restarted`, { service: args.service });
  }
}
