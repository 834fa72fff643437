import { Args } from '@oclif/core';
import { onlyOf } from '../runtime/client/arguments.ts';
import { MeshCommand } from '../runtime/client/base-command.ts';
import { renderEndpoints } from '../runtime/client/tables.ts';

export default class Endpoints extends MeshCommand {
  static override summary = 'Show the endpoints that the proxies balance over right now.';
  static override examples = ['$ mesh endpoints', '$ mesh endpoints orders --json'];
  static override args = { service: Args.string({ description: 'only this service' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Endpoints);
    const client = await this.connect(flags);
    const endpoints = this.unwrap(onlyOf(await client.endpoints(), ({ service }) => service, args.service));
    if (flags.json) this.printJson({ endpoints });
    else this.print(...renderEndpoints(endpoints, this.style, this.columns));
  }
}
