import { Args, Flags } from '@oclif/core';
import { knownServices } from '../runtime/client/arguments.ts';
import { MeshCommand } from '../runtime/client/base-command.ts';
import {
  explainNoTraces,
  linesOfTrace,
  parseTraceQuery,
  renderTrace,
  renderTraceDrops,
  renderTraces,
} from '../runtime/client/trace-view.ts';

export default class Trace extends MeshCommand {
  static override summary = 'List traces of requests, or show one as a waterfall.';
  static override description =
    'Spans of the proxies and of services that send theirs over OTLP (they find the address in OTEL_EXPORTER_OTLP_ENDPOINT). ' +
    'ID is that of a trace, or of a request or span in it, or the beginning of one. With --json a trace is OTLP/JSON.';
  static override examples = [
    '$ mesh trace',
    '$ mesh trace --service orders --error --since 10m',
    '$ mesh trace 4bf92f35',
  ];
  static override args = { id: Args.string({ description: 'of a trace or a span, or its beginning' }) };
  static override flags = {
    service: Flags.string({ helpValue: 'SERVICE', description: 'list: this service had a part in it' }),
    error: Flags.boolean({ description: 'list: something failed in it' }),
    'min-duration': Flags.string({ helpValue: '100ms', description: 'list: it took at least so long' }),
    since: Flags.string({
      helpValue: '5m',
      description: 'list: not older than this: a duration, or a time (RFC 3339)',
    }),
    limit: Flags.integer({
      char: 'n',
      min: 1,
      max: 10_000,
      default: 20,
      helpValue: 'N',
      description: 'list: the latest N',
    }),
    wide: Flags.boolean({ description: 'one: each proxy in a row of its own, with instances' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Trace);
    const query = this.unwrap(parseTraceQuery({ ...flags, minDuration: flags['min-duration'], now: Date.now() }));
    const client = await this.connect(flags);
    if (args.id === undefined) {
      const traces = await client.traces(query);
      if (flags.json) this.printJson({ traces });
      else if (traces.length > 0) {
        const { traffic } = await client.status();
        this.print(...renderTraces(traces, this.style, this.columns), ...renderTraceDrops(traffic, this.style));
      } else {
        // One that is not of this mesh may have sent spans all the same.
        if (flags.service !== undefined && flags.service !== 'gateway')
          this.unwrap(knownServices(await client.status(), [flags.service]));
        const any = await client.traces({ service: '', errorsOnly: false, minDurationMs: 0, sinceMs: null, limit: 1 });
        this.remark(explainNoTraces(any.length > 0));
      }
      return;
    }
    const trace = this.unwrap(await client.trace(args.id));
    if (flags.json) this.printJson(trace);
    else
      this.print(
        ...renderTrace(trace, await linesOfTrace(client, trace), this.style, {
          columns: this.columns,
          wide: flags.wide,
        }),
      );
  }
}
