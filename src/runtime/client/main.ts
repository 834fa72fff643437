import { readFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../control/package-root.ts';

/**
 * The `mesh` command.
 * @param codeDir directory that holds `commands/` and, in a build, the manifest of them.
 */
export async function main(argv: string[], codeDir: string): Promise<void> {
  const pjson = JSON.parse(readFileSync(path.join(packageRoot(), 'package.json'), 'utf8'));
  if (argv[0] === '--version' || argv[0] === '-v') {
    // Asked by scripts and prompts: answered before anything else is loaded.
    process.stdout.write(
      `${pjson.name}/${pjson.version} ${process.platform}-${process.arch} node-${process.version}\n`,
    );
    return;
  }
  const { dispatch } = await import('./dispatch.ts');
  await dispatch(argv, codeDir, pjson);
}
