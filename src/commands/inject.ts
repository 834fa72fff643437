import { Args, Flags } from '@oclif/core';
import { MeshCommand } from '../runtime/client/base-command.ts';
import { ENVIRONMENT_FORMS } from '../runtime/client/inject/environment-text.ts';
import { ownWorkload, splitCommand } from '../runtime/client/inject/inject-command.ts';
import { PROTOCOLS, requestFor } from '../runtime/client/inject/options.ts';
import { injectionReport } from '../runtime/client/inject/report.ts';
import { runOwn } from '../runtime/client/inject/run-own.ts';

export default class Inject extends MeshCommand {
  static override summary = 'Take a process that already runs into the mesh.';
  static override description =
    'TARGET is a port, a pid, the name of a program or script, or HOST:PORT. What it speaks is found out by probing. Other services reach it by its name, with mutual TLS; a report says which of its traffic the mesh sees. With `-- COMMAND`, `--shell` or `--env` a workload is started instead: in this terminal and working directory, with the environment that the mesh would give it.';
  static override examples = [
    '$ mesh inject 9000 --as legacy',
    '$ mesh inject 9000 --as orders --takeover',
    '$ mesh inject 9000 --as orders --takeover --match header=x-dev:me',
    '$ mesh inject --address 10.0.0.5:8080 --as legacy',
    '$ mesh inject --as orders --takeover -- npm run dev',
    '$ mesh inject --as orders --shell',
    '$ eval "$(mesh inject --as orders --env)"',
  ];
  static override args = { target: Args.string({ description: 'PORT, PID, NAME or HOST:PORT' }) };
  static override flags = {
    as: Flags.string({ helpValue: 'SERVICE', description: 'the service to be (default: named after the process)' }),
    address: Flags.string({ helpValue: 'HOST:PORT', description: 'where it listens, on this machine or another one' }),
    protocol: Flags.string({ options: [...PROTOCOLS], description: 'what it speaks (default: found out)' }),
    takeover: Flags.boolean({
      description: 'take the requests of a service that the mesh runs, which stops meanwhile',
    }),
    match: Flags.string({ helpValue: 'header=NAME:VALUE', description: 'take over only requests with this header' }),
    weight: Flags.integer({ helpValue: 'N', description: 'take over so many of 100 requests', exclusive: ['match'] }),
    sticky: Flags.boolean({ description: 'take it in again when it comes back on the same port' }),
    transparent: Flags.boolean({ description: 'redirect its outbound connections (Linux, with the rights)' }),
    attach: Flags.boolean({ description: 'lead the clients of a live Node.js process through its proxy' }),
    shell: Flags.boolean({ description: 'open $SHELL as the service' }),
    env: Flags.string({
      options: [...ENVIRONMENT_FORMS],
      helpValue: 'FORM',
      description: 'print what makes the current shell the service, for `eval`; FORM may be left out (sh)',
    }),
    port: Flags.integer({
      helpValue: 'N',
      min: 1,
      max: 65_535,
      description: 'where COMMAND listens (default: it gets PORT)',
    }),
  };

  async run(): Promise<void> {
    const { words, command } = splitCommand(this.argv);
    const { args, flags } = await this.parse(Inject, words);
    const own = this.unwrap(ownWorkload({ command, target: args.target ?? flags.address }, flags, process.env));
    const client = await this.connect(flags);
    if (own !== null) {
      process.exitCode = this.unwrap(await runOwn(client, own, flags, this.locate(flags).baseDir));
      return;
    }
    const given = { target: args.target, address: flags.address };
    const request = this.unwrap(await requestFor(given, flags, () => client.status()));
    const status = this.unwrap(await client.inject(request));
    if (flags.json) this.printJson(status);
    else this.print(...injectionReport(status, this.style));
  }
}
