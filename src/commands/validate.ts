import { Flags } from '@oclif/core';
import { MeshCommand } from '../runtime/client/base-command.ts';
import { exitCodes } from '../runtime/client/exit-codes.ts';

export default class Validate extends MeshCommand {
  static override summary = 'Check mesh.config.ts and show every problem at once.';
  static override description =
    'Each problem has its place, what to do, and a code that --explain explains. Warnings do not fail. Exit code 2 if there are errors.';
  static override examples = ['$ mesh validate', '$ mesh validate --json', '$ mesh validate --explain MESH-C101'];
  static override flags = {
    explain: Flags.string({
      helpValue: 'CODE',
      description: 'what a code means, with an example',
      exclusive: ['config'],
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Validate);
    const { explainCode, renderReport, validateConfig } = await import('../runtime/client/validate.ts');
    if (flags.explain !== undefined) {
      const { text, ...explanation } = this.unwrap(explainCode(flags.explain));
      if (flags.json) this.printJson(explanation);
      else this.print(text);
      return;
    }
    const report = await validateConfig(this.locate(flags, true).configFile);
    if (!report.valid) process.exitCode = exitCodes.usage;
    if (flags.json) this.printJson(report);
    else this.print(...renderReport(report, this.style, process.cwd()));
  }
}
