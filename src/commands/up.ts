import { Flags } from '@oclif/core';
import { parseLimit } from '../runtime/client/arguments.ts';
import { MeshCommand } from '../runtime/client/base-command.ts';
import { coloursWanted, isInteractive } from '../runtime/client/style.ts';

export default class Up extends MeshCommand {
  static override summary = 'Start the mesh, or some services and what they depend on, and attach to it.';
  static override description = [
    'In the foreground Ctrl-C stops the mesh, a second one forces, and if this process dies its mesh goes down with it.',
    'With -d it returns when everything is ready (exit code 1 if something failed, 4 if it took too long) and the mesh stays.',
    'If a mesh already runs here, it attaches to it without owning it: Ctrl-C then only leaves.',
  ].join('\n');
  static override usage = 'up [SERVICE...] [-d] [--no-tui]';
  static override examples = ['$ mesh up', '$ mesh up orders', '$ mesh up -d --timeout 30s', '$ mesh up --no-tui'];
  static override strict = false;
  static override flags = {
    detach: Flags.boolean({ char: 'd', description: 'return when everything is ready, and leave the mesh running' }),
    tui: Flags.boolean({ allowNo: true, default: true, description: 'full-screen view where there is a terminal' }),
    timeout: Flags.string({ default: '2m', helpValue: '2m', description: 'with -d: longest wait for readiness' }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(Up);
    const readyTimeoutMs = this.unwrap(parseLimit('--timeout', flags.timeout));
    const location = this.locate(flags, true);
    const { runUp } = await import('../runtime/client/run-up.ts');
    await runUp({
      location,
      services: argv as string[],
      detach: flags.detach,
      json: flags.json,
      readyTimeoutMs,
      style: this.style,
      openView:
        flags.tui && !flags.json && isInteractive(process.env, process.stdout.isTTY && process.stdin.isTTY)
          ? async (session) =>
              (await import('../tui/open-view.tsx')).openView({ ...session, colours: coloursWanted(process.env, true) })
          : null,
    });
  }
}
