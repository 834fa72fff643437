import { Args } from '@oclif/core';
import { MeshCommand } from '../runtime/client/base-command.ts';

export default class Start extends MeshCommand {
  static override summary = 'Start a service that was stopped or failed.';
  static override description = 'Returns when it was started, not when it is ready: for that see `mesh wait`.';
  static override examples = ['$ mesh start orders', '$ mesh start orders && mesh wait orders --for ready'];
  static override args = { service: Args.string({ required: true, description: 'service to start' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Start);
    const client = await this.connect(flags);
    this.unwrap(await client.start(args.service));
    this.done(flags.json, `${args.service} started`, { service: args.service });
  }
}
