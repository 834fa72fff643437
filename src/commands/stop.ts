import { Args } from '@oclif/core';
import { MeshCommand } from '../runtime/client/base-command.ts';

export default class Stop extends MeshCommand {
  static override summary = 'Stop one service; the rest of the mesh goes on.';
  static override description = 'Requests in flight are drained first. Returns when its processes are gone.';
  static override examples = ['$ mesh stop orders'];
  static override args = { service: Args.string({ required: true, description: 'service to stop' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Stop);
    const client = await this.connect(flags);
    this.unwrap(await client.stop(args.service));
    this.done(flags.json, `${args.service} stopped`, { service: args.service });
  }
}
