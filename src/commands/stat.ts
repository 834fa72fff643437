import { Args, Flags } from '@oclif/core';
import type { StatGrouping, StatRow } from '../model/events.ts';
import { knownServices, parseWindow } from '../runtime/client/arguments.ts';
import { MeshCommand } from '../runtime/client/base-command.ts';
import { createRepaint } from '../runtime/client/repaint.ts';
import { untilInterrupted } from '../runtime/client/signals.ts';
import { renderDrops, renderStats } from '../runtime/client/traffic-view.ts';

const GROUPINGS = ['service', 'route', 'edge', 'subset'] satisfies StatGrouping[];

export default class Stat extends MeshCommand {
  static override summary = 'Show rates, success and latency over a window.';
  static override description =
    'By service, route or edge as the callers saw it, retries and waiting included; by subset as the called instances did.';
  static override examples = [
    '$ mesh stat',
    '$ mesh stat orders --by route --window 5m',
    '$ mesh stat --by edge --watch',
  ];
  static override args = {
    service: Args.string({ description: 'only requests to this service; by edge also from it' }),
  };
  static override flags = {
    window: Flags.string({ default: '1m', helpValue: '1m', description: 'how far back, at most 10m' }),
    by: Flags.string({ options: GROUPINGS, default: 'service', description: 'what a line stands for' }),
    watch: Flags.boolean({ char: 'w', description: 'again every second, until Ctrl-C' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Stat);
    const windowMs = this.unwrap(parseWindow(flags.window));
    const client = await this.connect(flags);
    const { service } = args;
    if (service !== undefined && service !== 'gateway') this.unwrap(knownServices(await client.status(), [service]));
    const by = flags.by as StatGrouping;
    const wanted = (row: StatRow) =>
      service === undefined || row.destination === service || (by === 'edge' && row.source === service);
    const repaint = createRepaint(process.stdout);
    const show = async (rows: StatRow[]) => {
      const chosen = rows.filter(wanted);
      const { traffic } = await client.status();
      if (flags.json) {
        this.printJson({ windowMs, by, rows: chosen, telemetryDropped: traffic.telemetryDropped }, flags.watch);
        return;
      }
      const lines = renderStats(chosen, this.style, { by, columns: this.columns });
      lines.push(...renderDrops(traffic, this.style));
      if (flags.watch) repaint(lines);
      else this.print(...lines);
    };
    if (!flags.watch) await show(await client.stats(windowMs, by));
    else for await (const rows of client.watchStats(windowMs, untilInterrupted(), by)) await show(rows);
  }
}
