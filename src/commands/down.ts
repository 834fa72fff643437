import { Flags } from '@oclif/core';
import { parseLimit } from '../runtime/client/arguments.ts';
import { MeshCommand } from '../runtime/client/base-command.ts';

export default class Down extends MeshCommand {
  static override summary = 'Stop everything, whatever state it is in.';
  static override description =
    'Services get their stop signal in reverse order of dependence, and SIGKILL when the timeout is over. If the daemon is dead or hangs, what it left is found and ended as well. It is no failure if no mesh is running.';
  static override examples = ['$ mesh down', '$ mesh down --timeout 2s'];
  static override flags = {
    timeout: Flags.string({ default: '10s', helpValue: '10s', description: 'until what is left is killed' }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Down);
    const timeoutMs = this.unwrap(parseLimit('--timeout', flags.timeout));
    const { bringDown } = await import('../runtime/client/down.ts');
    const location = this.locate(flags);
    const outcome = this.unwrap(await bringDown(location, timeoutMs, (line) => this.remark(line)));
    const text = {
      nothing: 'no mesh is running here',
      stopped: 'the mesh is stopped',
      recovered: 'the mesh is stopped; its daemon was dead, what it had left was ended',
    }[outcome.kind];
    this.done(flags.json, text, { outcome: outcome.kind });
  }
}
