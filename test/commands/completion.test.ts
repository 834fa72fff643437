import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { type CommandWords, completionScript } from '../../src/runtime/client/completion.ts';
import { temporaryDirectory } from '../runtime/control/fake-mesh.ts';

const flag = (name: string, extra: Partial<CommandWords['flags'][number]> = {}) => ({
  name,
  char: null,
  summary: `the [${name}]: it's "that"`,
  takesValue: false,
  options: [],
  names: null,
  ...extra,
});

const commands: CommandWords[] = [
  { name: 'certs', summary: 'Show certificates.', flags: [flag('json')], words: [], takesService: false },
  { name: 'certs rotate', summary: "Issue new ones; it's quick.", flags: [], words: [], takesService: true },
  { name: 'completion', summary: 'A script.', flags: [], words: ['bash', 'zsh', 'fish'], takesService: false },
  {
    name: 'tap',
    summary: 'Requests.',
    flags: [
      flag('to', { takesValue: true, names: 'services' }),
      flag('route', { takesValue: true, char: 'r', names: 'routes' }),
    ],
    words: [],
    takesService: false,
  },
  {
    name: 'wait',
    summary: 'Wait.',
    flags: [flag('for', { takesValue: true, options: ['ready', 'completed'] }), flag('follow', { char: 'f' })],
    words: [],
    takesService: true,
  },
];

/** What bash offers after these words, the last of which is being typed. */
async function offered(words: string[]): Promise<string[]> {
  await using directory = await temporaryDirectory();
  const file = path.join(directory.path, 'mesh.bash');
  await writeFile(file, completionScript('bash', commands));
  const status = JSON.stringify(
    { mesh: 'shop', services: [{ name: 'orders', instances: [{ id: 'orders-1' }] }] },
    null,
    2,
  );
  const routes = JSON.stringify(
    { routes: [{ table: 'orders', name: 'canary', matches: [{ name: 'no' }], source: '' }] },
    null,
    2,
  );
  const script = `
    mesh() { if [[ $1 == routes ]]; then cat <<'END'
${routes}
END
    else cat <<'END'
${status}
END
    fi; }
    source ${file}
    COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})
    COMP_CWORD=${words.length - 1}
    _mesh
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).split('\n').filter(Boolean);
}

describe('the bash completion', () => {
  it('offers commands, sub-commands, flags, values of flags, and services', async () => {
    expect(await offered(['mesh', 'c'])).toEqual(['certs', 'completion']);
    expect(await offered(['mesh', 'certs', ''])).toEqual(['rotate']);
    expect(await offered(['mesh', 'certs', 'rotate', ''])).toEqual(['orders']);
    expect(await offered(['mesh', 'completion', ''])).toEqual(['bash', 'zsh', 'fish']);
    expect(await offered(['mesh', 'wait', '--f'])).toEqual(['--for', '--follow']);
    expect(await offered(['mesh', 'wait', '--for', 'r'])).toEqual(['ready']);
    expect(await offered(['mesh', 'wait', 'o'])).toEqual(['orders']);
    expect(await offered(['mesh', 'tap', '--to', ''])).toEqual(['orders']);
    expect(await offered(['mesh', 'tap', '-r', ''])).toEqual(['canary']);
  });
});

describe.each(['zsh', 'fish'] as const)('the %s completion', (shell) => {
  it('names every command and flag', () => {
    const script = completionScript(shell, commands);
    for (const word of ['certs', 'rotate', 'completion', 'wait']) expect(script).toContain(word);
    expect(script).toContain(shell === 'zsh' ? '--for[' : '-l for');
    expect(script).toContain('ready completed');
    expect(script).toContain(shell === 'zsh' ? ':to:_mesh_services' : "-l to -x -a '(__mesh_services)'");
    expect(script).toContain(shell === 'zsh' ? ':route:_mesh_routes' : "-l route -s r -x -a '(__mesh_routes)'");
  });

  it('is valid where the shell is installed', (context) => {
    const script = completionScript(shell, commands);
    try {
      execFileSync(shell, ['--version'], { stdio: 'ignore' });
    } catch {
      context.skip();
    }
    expect(() => execFileSync(shell, ['-n'], { input: script })).not.toThrow();
  });
});
