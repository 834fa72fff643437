import { Args } from '@oclif/core';
import { MeshCommand } from '../runtime/client/base-command.ts';

export default class Completion extends MeshCommand {
  static override summary = 'Print a completion script for a shell.';
  static override description = [
    'bash: mesh completion bash > ~/.local/share/bash-completion/completions/mesh',
    'zsh:  mesh completion zsh > "$' + '{fpath[1]}/_mesh"',
    'fish: mesh completion fish > ~/.config/fish/completions/mesh.fish',
  ].join('\n');
  static override examples = ['$ source <(mesh completion bash)', '$ mesh completion fish | source'];
  static override args = {
    shell: Args.string({ required: true, options: ['bash', 'zsh', 'fish'], description: 'shell to complete in' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Completion);
    const { completionScript, wordsOf } = await import('../runtime/client/completion.ts');
    const script = completionScript(args.shell as 'bash' | 'zsh' | 'fish', wordsOf(this.config.commands));
    if (flags.json) this.printJson({ shell: args.shell, script });
    else this.print(script.trimEnd());
  }
}
