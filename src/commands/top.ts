import { Flags } from '@oclif/core';
import { parseLimit } from '../runtime/client/arguments.ts';
import { MeshCommand } from '../runtime/client/base-command.ts';
import { coloursWanted, isInteractive } from '../runtime/client/style.ts';
import { VIEW_IDS, type ViewId } from '../tui/ui-state.ts';

export default class Top extends MeshCommand {
  static override summary = 'Live view of the mesh: services, requests, routes, topology, logs, certificates, config.';
  static override description = [
    'One key for each view, ? for all keys, q leaves; the mesh runs on.',
    'Without a terminal it prints the table of services every --interval.',
  ].join('\n');
  static override usage = 'top [--view VIEW] [--no-tui] [--interval 5s] [--count N]';
  static override examples = [
    '$ mesh top',
    '$ mesh top --view requests',
    '$ mesh top --no-tui --count 1',
    '$ mesh top --json',
  ];
  static override flags = {
    view: Flags.string({ options: [...VIEW_IDS], default: 'services', helpValue: 'VIEW', description: 'shown first' }),
    tui: Flags.boolean({ allowNo: true, default: true, description: 'full-screen view where there is a terminal' }),
    interval: Flags.string({ default: '5s', helpValue: '5s', description: 'without a terminal: time between tables' }),
    count: Flags.integer({ char: 'n', min: 1, helpValue: 'N', description: 'without a terminal: end after N tables' }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Top);
    const intervalMs = this.unwrap(parseLimit('--interval', flags.interval));
    const location = this.locate(flags);
    const client = await this.connect(flags);
    const { printPeriodically, watchInTerminal } = await import('../runtime/client/run-top.ts');
    const terminal = process.stdout.isTTY && process.stdin.isTTY;
    if (flags.tui && !flags.json && flags.count === undefined && isInteractive(process.env, terminal)) {
      const { openView } = await import('../tui/open-view.tsx');
      const colours = coloursWanted(process.env, true);
      const view = flags.view as ViewId;
      return watchInTerminal(client, location, async (session) => openView({ ...session, view, colours }));
    }
    await printPeriodically(client, {
      intervalMs: Math.max(100, intervalMs),
      count: flags.count ?? 0,
      style: this.style,
      columns: this.columns,
      json: flags.json ? (document) => this.printJson(document, true) : null,
      print: (...lines) => this.print(...lines),
    });
  }
}
