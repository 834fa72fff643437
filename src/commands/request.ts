import { Args, Flags } from '@oclif/core';
import { MeshCommand } from '../runtime/client/base-command.ts';
import { exitCodes } from '../runtime/client/exit-codes.ts';
import { renderExplanation } from '../runtime/client/explain-view.ts';
import { buildRequest, explainSent } from '../runtime/client/request.ts';
import { proxyRemark, responseDocument, writeResponse } from '../runtime/client/response-output.ts';
import { sendRequest } from '../runtime/client/send-request.ts';
import { jsonLine } from '../runtime/telemetry/event-text.ts';

export default class Request extends MeshCommand {
  static override summary = 'Send one request as a service.';
  static override description =
    "The request goes through the outbound port of a running instance of --as, so with its identity and by the routes that it would take. The response's body goes to standard output as it comes. " +
    'Ends with 0 when a response came, whatever its status (but see --fail), and with 1 when none did. Redirects are not followed.';
  static override examples = [
    '$ mesh request --as web orders /orders/7',
    '$ mesh request --as web orders /orders -d \'{"item":7}\' -i --fail',
    "$ mesh request --as web orders /orders -H 'x-canary: 1' --explain",
    '$ mesh request --as web uploads /files -X PUT -d @photo.jpg',
  ];
  static override args = {
    service: Args.string({ required: true, description: 'service that it is for' }),
    path: Args.string({ default: '/', description: 'path and query' }),
  };
  static override flags = {
    as: Flags.string({ required: true, helpValue: 'SERVICE', description: 'service, or instance, that sends it' }),
    request: Flags.string({ char: 'X', helpValue: 'METHOD', description: 'default: GET, or POST with -d' }),
    header: Flags.string({
      char: 'H',
      multiple: true,
      multipleNonGreedy: true,
      helpValue: "'K: V'",
      description: 'with this request header',
    }),
    data: Flags.string({
      char: 'd',
      helpValue: 'BODY',
      description: 'body: text, @FILE, or - for standard input; JSON is sent as such',
    }),
    include: Flags.boolean({ char: 'i', description: "with the response's status and headers, and trailers" }),
    fail: Flags.boolean({ description: 'end with 1 on status 400 and above' }),
    timeout: Flags.string({ helpValue: '5s', description: 'for the whole response; default: no limit' }),
    explain: Flags.boolean({ description: 'then say why it went where it did, on standard error' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Request);
    const client = await this.connect(flags);
    const how = { traced: flags.explain, stdin: process.stdin };
    const sent = this.unwrap(await buildRequest(args.service, args.path, flags, await client.status(), how));
    const response = this.unwrap(await sendRequest(sent));
    if (flags.fail && response.status >= 400) process.exitCode = exitCodes.failed;
    if (flags.json) {
      const explanation = async () => (flags.explain ? this.unwrap(await explainSent(client, sent)) : null);
      this.print(jsonLine(await responseDocument(sent, response, explanation), 2));
      return;
    }
    await writeResponse(response, process.stdout, { head: flags.include });
    const remark = proxyRemark(response);
    if (remark !== '') this.remark(this.style.yellow(remark));
    if (!flags.explain) return;
    const explanation = this.unwrap(await explainSent(client, sent));
    this.remark(
      '',
      ...renderExplanation(explanation, { style: this.style, cwd: process.cwd(), columns: this.columns }),
    );
  }
}
