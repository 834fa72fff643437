import { Args, Flags } from '@oclif/core';
import { PROTOCOLS } from '../model/tap-filter.ts';
import { knownRoute } from '../runtime/client/arguments.ts';
import { MeshCommand } from '../runtime/client/base-command.ts';
import { untilInterrupted } from '../runtime/client/signals.ts';
import { followTap } from '../runtime/client/tap.ts';
import { createTapFormat, parseTapFilter } from '../runtime/client/tap-view.ts';
import { eventDocument, jsonLine } from '../runtime/telemetry/event-text.ts';

export default class Tap extends MeshCommand {
  static override summary = 'Show requests as they happen.';
  static override description =
    'SERVICE sent the request or got it. Each request is shown once, as its caller saw it; `--direction both` adds what the called side saw. Values of authorization, cookies and API keys are never shown, and in bodies those of passwords, tokens and what `telemetry.redactFields` names.';
  static override examples = [
    '$ mesh tap',
    '$ mesh tap orders --status 5xx --wide',
    '$ mesh tap --from web --to orders --method POST --path /api --min-duration 100ms',
    '$ mesh tap --header x-user=42 --show-header content-type --show-header x-user',
    '$ mesh tap --to orders --method POST --bodies --body-limit 64Ki',
    "$ mesh tap --json -n 100 | jq -r '[.path, .durationMs] | @tsv'",
  ];
  static override args = { service: Args.string({ description: 'only requests of or to this service' }) };
  static override flags = {
    from: Flags.string({ helpValue: 'SERVICE', description: 'sent by this service, or `gateway`' }),
    to: Flags.string({ helpValue: 'SERVICE', description: 'sent to this service' }),
    method: Flags.string({ helpValue: 'GET', description: 'only this method' }),
    path: Flags.string({ helpValue: '/api', description: 'only paths that begin so' }),
    status: Flags.string({ helpValue: '5xx', description: 'only this status or class of status' }),
    'min-duration': Flags.string({ helpValue: '100ms', description: 'only those that took so long' }),
    header: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'K=V',
      description: 'only with this request header',
    }),
    route: Flags.string({ helpValue: 'ROUTE', description: 'only of this route' }),
    protocol: Flags.string({ options: [...PROTOCOLS], description: 'only this protocol' }),
    direction: Flags.string({
      options: ['outbound', 'inbound', 'both'],
      default: 'outbound',
      description: 'whose view',
    }),
    'max-rps': Flags.integer({
      min: 0,
      default: 0,
      helpValue: 'N',
      description: 'at most so many a second; the rest is counted',
    }),
    'show-header': Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'NAME',
      description: 'show this header; `*` for all',
    }),
    bodies: Flags.boolean({ description: 'show bodies, without secret fields; gRPC messages as JSON' }),
    'body-limit': Flags.string({ helpValue: '4Ki', description: 'bytes kept of each body, at most 1Mi' }),
    wide: Flags.boolean({ char: 'w', description: 'with instance, route, peer, sizes, timing and trace' }),
    count: Flags.integer({ char: 'n', min: 1, helpValue: 'N', description: 'end after N requests' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Tap);
    const client = await this.connect(flags);
    if (flags.route !== undefined) this.unwrap(knownRoute(await client.routes(), flags.route));
    const filter = this.unwrap(parseTapFilter(args.service, flags, await client.status()));
    const format = createTapFormat(this.style, { wide: flags.wide });
    const withHeaders = filter.showHeaders.length > 0;
    const extent = { count: flags.count ?? 0, signal: untilInterrupted() };
    await followTap(client, filter, extent, {
      show: (events) => {
        if (flags.json) this.print(...events.map((event) => jsonLine(eventDocument(event, withHeaders))));
        else this.print(...events.flatMap(format));
      },
      remark: (text) => this.remark(this.style.dim(text)),
    });
  }
}
