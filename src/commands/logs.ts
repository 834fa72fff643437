import { Flags } from '@oclif/core';
import { knownServices, parseLogQuery } from '../runtime/client/arguments.ts';
import { MeshCommand } from '../runtime/client/base-command.ts';
import { createLogFormat } from '../runtime/client/log-view.ts';
import { untilInterrupted } from '../runtime/client/signals.ts';

export default class Logs extends MeshCommand {
  static override summary = 'Show what services wrote, merged and coloured by service.';
  static override usage = 'logs [SERVICE...] [-f] [-n N] [--since 5m] [--times]';
  static override examples = ['$ mesh logs', '$ mesh logs orders web -f', '$ mesh logs -n 20 --since 5m --json'];
  static override strict = false;
  static override flags = {
    follow: Flags.boolean({ char: 'f', description: 'go on with new lines until Ctrl-C' }),
    lines: Flags.integer({ char: 'n', min: 0, helpValue: 'N', description: 'last N lines of each instance' }),
    since: Flags.string({ helpValue: '5m', description: 'not older than this: a duration, or a time (RFC 3339)' }),
    times: Flags.boolean({ char: 't', description: 'with the time of each line' }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Logs);
    const query = this.unwrap(parseLogQuery({ ...flags, services: argv as string[], now: Date.now() }));
    const client = await this.connect(flags);
    // The gateway's are the lines of its access log.
    const services = query.services.filter((name) => name !== 'gateway');
    this.unwrap(knownServices(await client.status(), services));
    const format = createLogFormat(this.style, { times: flags.times });
    for await (const lines of client.logs(query, untilInterrupted())) {
      if (flags.json) for (const line of lines) this.printJson(line, true);
      else this.print(...lines.map(format));
    }
  }
}
