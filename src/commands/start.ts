import { Args } from '@oclif/core';
import { MeshCommand } from '../runtime/client/base-command.ts';

export default class Start extends MeshCommand {
  static override summary = 'Start a service that was stopped or failed.';
  static override description =
    'Also starts what it depends on. Returns when it is ready, or fails if its first attempt failed.';
  static override examples = ['$ mesh start orders', '$ mesh start orders --json'];
  static override args = { service: Args.string({ required: true, description: 'service to start' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Start);
    const client = await this.connect(flags);
    this.unwrap(await client.start(args.service));
    this.done(flags.json, `${args.service} is ready`, { service: args.service });
  }
}
