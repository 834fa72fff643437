import { Args, Flags } from '@oclif/core';
import { fail } from '../model/result.ts';
import { MeshCommand } from '../runtime/client/base-command.ts';
import { checkText, readMesh, runStep } from '../runtime/client/new/mesh-on-disk.ts';
import { onInterrupt } from '../runtime/client/signals.ts';
import { isInteractive } from '../runtime/client/style.ts';
import { allTemplates, templatesDirectory } from '../scaffold/catalogue.ts';
import { listDocument, listOfTemplates, paintDiff, planDocument } from '../scaffold/describe.ts';
import { givenOptions, templateFlags } from '../scaffold/options.ts';
import { runNew } from '../scaffold/run-new.ts';

export default class New extends MeshCommand {
  static override summary = 'Write a service from a template and add it to mesh.config.ts.';
  static override description =
    'What it writes is yours: a complete project with tests that needs nothing of mesh to run. Nothing existing is overwritten without --force, and what fails is undone. Without arguments it asks.';
  static override examples = [
    '$ mesh new',
    '$ mesh new grpc-service orders',
    '$ mesh new http-service billing --entity invoice --dry-run',
    '$ mesh new --list',
  ];
  static override args = {
    template: Args.string({ description: 'what to write; `--list` shows what there is' }),
    name: Args.string({ description: 'name of the new service' }),
  };
  static override flags = {
    ...templateFlags,
    entity: Flags.string({
      helpValue: 'NAME',
      description: 'what the service is about (default: singular of its name)',
    }),
    into: Flags.string({ helpValue: 'DIR', description: 'folder (default: beside the others, or services/NAME)' }),
    'dry-run': Flags.boolean({ description: 'show what would change' }),
    force: Flags.boolean({ description: 'replace files that are in the way' }),
    install: Flags.boolean({ allowNo: true, default: true, description: 'install the dependencies of the project' }),
    list: Flags.boolean({ description: 'show the templates and their options' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(New);
    if (flags.list) return this.list(flags.json);
    const terminal = !flags.json && isInteractive(process.env, process.stdin.isTTY && process.stderr.isTTY);
    let interrupted = false;
    const leave = onInterrupt(() => (interrupted = true));
    const outcome = await runNew(
      { ...args, ...flags, options: givenOptions(flags), dryRun: flags['dry-run'] },
      {
        cwd: process.cwd(),
        readMesh: () => readMesh(this.locate(flags, true).configFile),
        checkText,
        run: runStep,
        terminal: terminal ? { input: process.stdin, output: process.stderr } : null,
        progress: (text) => this.remark(this.style.dim(text)),
        interrupted: () => interrupted,
      },
    );
    leave();
    const done = this.unwrap(outcome);
    if (done === null) return;
    const { diff, plan, report } = done;
    if (flags.json) this.printJson(planDocument(plan, diff));
    else this.print(...(diff === null ? report : paintDiff(diff, this.style)));
    if (plan.unregistered === null) return;
    if (flags.json) process.exitCode = 1;
    else this.unwrap(fail(plan.unregistered));
  }

  private list(json: boolean): void {
    const templates = this.unwrap(allTemplates(templatesDirectory()));
    if (json) this.printJson(listDocument(templates));
    else this.print(...listOfTemplates(templates));
  }
}
