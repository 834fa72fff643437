import { Flags } from '@oclif/core';
import { parseWindow } from '../runtime/client/arguments.ts';
import { MeshCommand } from '../runtime/client/base-command.ts';
import { dotGraph, mermaidGraph, renderGraph } from '../runtime/client/traffic-view.ts';

export default class Graph extends MeshCommand {
  static override summary = 'Show who calls whom, with rates, success and latency.';
  static override description = 'Drawn from the traffic of the window; a lock stands for mutual TLS.';
  static override examples = [
    '$ mesh graph',
    '$ mesh graph --format mermaid --window 10m',
    '$ mesh graph --format dot | dot -Tsvg > mesh.svg',
  ];
  static override flags = {
    format: Flags.string({ options: ['text', 'mermaid', 'dot'], default: 'text', description: 'how it is drawn' }),
    window: Flags.string({ default: '1m', helpValue: '1m', description: 'how far back, at most 10m' }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Graph);
    const windowMs = this.unwrap(parseWindow(flags.window));
    const client = await this.connect(flags);
    const edges = await client.stats(windowMs, 'edge');
    if (flags.json) this.printJson({ windowMs, edges });
    else if (flags.format === 'mermaid') this.print(...mermaidGraph(edges));
    else if (flags.format === 'dot') this.print(...dotGraph(edges));
    else this.print(...renderGraph(edges, this.style));
  }
}
