import { Args, Flags } from '@oclif/core';
import { MeshCommand } from '../runtime/client/base-command.ts';

export default class Init extends MeshCommand {
  static override summary = 'Write a first mesh.config.ts.';
  static override description =
    'It takes the services from docker-compose.yml, a Procfile or the workspaces of package.json, whichever is there first, or else writes a small one to begin with. An existing file stays as it is unless --force is given.';
  static override examples = ['$ mesh init', '$ mesh init ../shop', '$ mesh init --from procfile'];
  static override args = { dir: Args.string({ default: '.', description: 'directory to write it into' }) };
  static override flags = {
    from: Flags.string({
      options: ['compose', 'procfile', 'workspaces', 'nothing'],
      description: 'where to take the services from',
    }),
    force: Flags.boolean({ description: 'replace an existing mesh.config.ts' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Init);
    const { initMesh } = await import('../runtime/client/init/init-mesh.ts');
    const written = this.unwrap(await initMesh(args.dir, { from: flags.from, force: flags.force }));
    if (flags.json) this.printJson({ ok: true, ...written });
    else this.print(...written.notes, `wrote ${written.file}; next: \`mesh up\``);
  }
}
