import { Args, Flags } from '@oclif/core';
import { problem } from '../model/errors.ts';
import { fail } from '../model/result.ts';
import { MeshCommand } from '../runtime/client/base-command.ts';

export default class Eject extends MeshCommand {
  static override summary = 'Take an injected process out of the mesh again.';
  static override description =
    'Requests under way end first; a service that was taken over has its own instances back before that. The process itself is left alone.';
  static override examples = ['$ mesh eject orders', '$ mesh eject orders-injected-1', '$ mesh eject --all'];
  static override args = { service: Args.string({ description: 'name of the service, or of the injected instance' }) };
  static override flags = { all: Flags.boolean({ description: 'every injected process' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Eject);
    if (flags.all === (args.service !== undefined))
      this.unwrap(
        fail(problem('MESH-U102', { message: 'say what to eject', hint: '`mesh eject NAME`, or `mesh eject --all`' })),
      );
    const client = await this.connect(flags);
    const instances = this.unwrap(await client.eject(args.service ?? null));
    const text = instances.length === 0 ? 'nothing is injected' : `ejected ${instances.join(', ')}`;
    this.done(flags.json, text, { ejected: instances });
  }
}
