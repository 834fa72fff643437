import { Args, Flags } from '@oclif/core';
import { MeshCommand } from '../runtime/client/base-command.ts';
import { parseExplainQuery } from '../runtime/client/explain.ts';
import { renderExplanation } from '../runtime/client/explain-view.ts';
import { jsonLine } from '../runtime/telemetry/event-text.ts';

export default class Explain extends MeshCommand {
  static override summary = 'Say why a request went, or would go, where it does.';
  static override description =
    'ID is that of a request (`mesh tap --json`), of a trace or of a span that a service sent, or the beginning of one. Without an ID the request is described by --from, --to, METHOD and PATH; nothing is sent. ' +
    'Every decision is shown: listener, route with why earlier ones did not match, backend, endpoint with why others were skipped, identity, filters, TLS, timeouts and retries.';
  static override examples = [
    '$ mesh explain 4bf92f35',
    '$ mesh explain --from web --to orders GET /orders/7',
    "$ mesh explain --from gateway /api/orders -H 'host: shop.localhost' -H 'x-canary: 1'",
    '$ mesh explain --from web --to payments --grpc shop.v1.Payments/Charge --json',
  ];
  static override args = {
    request: Args.string({ description: 'an ID, or METHOD, or PATH' }),
    path: Args.string({ description: 'PATH after METHOD' }),
  };
  static override flags = {
    from: Flags.string({ helpValue: 'SERVICE', description: 'who sends it: a service, an instance, or `gateway`' }),
    to: Flags.string({ helpValue: 'SERVICE', description: 'which service it is for' }),
    header: Flags.string({
      char: 'H',
      multiple: true,
      multipleNonGreedy: true,
      helpValue: "'K: V'",
      description: 'with this request header',
    }),
    grpc: Flags.string({ helpValue: 'SERVICE/METHOD', description: 'a gRPC call, instead of METHOD and PATH' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Explain);
    const words = [args.request, args.path].filter((word) => word !== undefined);
    const query = this.unwrap(parseExplainQuery({ words, ...flags }));
    const client = await this.connect(flags);
    const explanation = this.unwrap(await client.explain(query));
    if (flags.json) this.print(jsonLine(explanation, 2));
    else
      this.print(...renderExplanation(explanation, { style: this.style, cwd: process.cwd(), columns: this.columns }));
  }
}
