import { parseScale } from '../runtime/client/arguments.ts';
import { MeshCommand } from '../runtime/client/base-command.ts';

export default class Scale extends MeshCommand {
  static override summary = 'Change the number of instances of services.';
  static override description =
    'SERVICE=N sets it for each subset of a service, SERVICE/SUBSET=N for one. It lasts until the mesh stops.';
  static override usage = 'scale SERVICE[/SUBSET]=N...';
  static override examples = ['$ mesh scale orders=3', '$ mesh scale inventory/canary=0 orders=2'];
  static override strict = false;

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Scale);
    const targets = this.unwrap(parseScale(argv as string[]));
    const client = await this.connect(flags);
    for (const { service, subset, replicas } of targets) this.unwrap(await client.scale(service, subset, replicas));
    this.done(flags.json, `scaled ${argv.join(' ')}`, { scaled: targets });
  }
}
