import { Args, Flags } from '@oclif/core';
import { parseLimit } from '../runtime/client/arguments.ts';
import { MeshCommand } from '../runtime/client/base-command.ts';
import type { Goal } from '../runtime/client/readiness.ts';
import { waitFor } from '../runtime/client/wait.ts';

export default class Wait extends MeshCommand {
  static override summary = 'Wait until a service is ready, completed or stopped.';
  static override description =
    'For scripts. Exit code 0: it is; 1: it failed and will not get there by itself; 4: not within the timeout.';
  static override examples = ['$ mesh wait orders', '$ mesh wait migrate --for completed --timeout 2m'];
  static override args = { service: Args.string({ required: true, description: 'service to wait for' }) };
  static override flags = {
    for: Flags.string({
      options: ['ready', 'completed', 'stopped'],
      default: 'ready',
      description: 'state to wait for',
    }),
    timeout: Flags.string({ default: '30s', helpValue: '30s', description: 'longest wait' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Wait);
    const timeoutMs = this.unwrap(parseLimit('--timeout', flags.timeout));
    const client = await this.connect(flags);
    this.unwrap(await waitFor(client, args.service, flags.for as Goal, timeoutMs));
    this.done(flags.json, `${args.service} is ${flags.for}`, { service: args.service, state: flags.for });
  }
}
