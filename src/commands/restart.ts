import { Args } from '@oclif/core';
import { MeshCommand } from '../runtime/client/base-command.ts';

export default class Restart extends MeshCommand {
  static override summary = 'Restart services, one after another, without failing their callers.';
  static override description =
    'The old process serves until the new one is ready where that is possible; otherwise requests wait for it.';
  static override usage = 'restart SERVICE...';
  static override examples = ['$ mesh restart orders', '$ mesh restart web orders'];
  static override strict = false;
  static override args = { service: Args.string({ required: true, description: 'service to restart' }) };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Restart);
    const [first, ...others] = argv as string[];
    const client = await this.connect(flags);
    for (const service of [first, ...others]) this.unwrap(await client.restart(service));
    const document = others.length === 0 ? { service: first } : { services: [first, ...others] };
    this.done(flags.json, `${[first, ...others].join(', ')} restarted`, document);
  }
}
