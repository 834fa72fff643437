import { accessSync, constants, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { problem } from '../../model/errors.ts';
import { nearest } from '../../model/nearest.ts';
import type { Command } from '../../model/resolved.ts';
import type { Problem } from '../../model/result.ts';

/** PATH for a service: `node_modules/.bin` of its folder and of those above it up to the config's come first. */
export function searchPath(cwd: string, baseDir: string, inherited: string | undefined): string {
  const folders: string[] = [];
  const inside = cwd === baseDir || cwd.startsWith(baseDir.endsWith(path.sep) ? baseDir : `${baseDir}${path.sep}`);
  for (let folder = cwd; inside && folder !== baseDir; folder = path.dirname(folder)) folders.push(folder);
  if (!inside) folders.push(cwd);
  folders.push(baseDir);
  const local = folders.map((folder) => path.join(folder, 'node_modules', '.bin'));
  // The node that runs mesh comes last, for machines where it is not on PATH at all.
  return [...local, inherited || '/usr/local/bin:/usr/bin:/bin', path.dirname(process.execPath)].join(path.delimiter);
}

/** MESH-P101: the program is not there; MESH-P107: no working directory; MESH-P111: not executable. */
export function checkCommand(command: Command, cwd: string, pathVariable: string, owner: string): Problem | null {
  if (!statSync(cwd, { throwIfNoEntry: false })?.isDirectory())
    return problem('MESH-P107', {
      message: `the working directory of ${owner} does not exist: ${cwd}`,
      hint: 'correct `cwd`, which is relative to the config file',
      path: ['services', owner, 'cwd'],
    });
  const program = command.shell ? programOfLine(command.argv[0]) : command.argv[0];
  if (program === null) return null;
  const folders = pathVariable.split(path.delimiter).filter((folder) => folder !== '');
  const file = program.includes('/')
    ? path.resolve(cwd, program)
    : folders.map((folder) => path.join(folder, program)).find(isExecutable);
  if (file !== undefined && isExecutable(file)) return null;
  const at = ['services', owner, 'command'];
  if (file !== undefined && statSync(file, { throwIfNoEntry: false })?.isFile())
    return problem('MESH-P111', {
      message: `${owner}: ${program} is not executable`,
      hint: `chmod +x ${file}`,
      path: at,
    });
  if (file !== undefined)
    return problem('MESH-P101', {
      message: `${owner}: there is no program ${file}`,
      hint: 'correct `command`',
      path: at,
    });
  const alike = nearest(program, folders.flatMap(filesIn));
  const local = folders.filter((folder) => folder.endsWith(path.join('node_modules', '.bin')));
  const install = local.some((folder) => statSync(folder, { throwIfNoEntry: false }) !== undefined)
    ? 'install it or correct `command`'
    : 'install it (there is no node_modules: did you run `npm install`?) or correct `command`';
  return problem('MESH-P101', {
    message: `${owner}: ${program} was found neither in ${local.join(', ')} nor on PATH`,
    hint: alike === undefined ? install : `did you mean '${alike}'? Otherwise ${install}`,
    path: at,
  });
}

/** The command as one line for people. */
export function describeCommand(command: Command): string {
  return command.argv.map((word) => (command.shell || /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`)).join(' ');
}

/** Words that the shell itself understands. */
const SHELL_WORDS = new Set(
  (
    '. : [ alias bg break case cd command continue do echo eval exec exit export false fg for getopts hash if jobs kill ' +
    'printf pwd read readonly return set shift test time times trap true type ulimit umask unalias unset until wait while'
  ).split(' '),
);

/** First program of a shell command line; null when that takes a shell to know. */
function programOfLine(line: string): string | null {
  const words = line.trim().split(/\s+/);
  const word = words.find((candidate) => !/^[A-Za-z_]\w*=[\w@%+:,./-]*$/.test(candidate));
  if (word === undefined || !/^[\w@%+:,./-]+$/.test(word) || SHELL_WORDS.has(word)) return null;
  // `PATH=... program` looks elsewhere than we would.
  return words[0].startsWith('PATH=') ? null : word;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
