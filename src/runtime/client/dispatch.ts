import { Config, type Interfaces, loadHelpClass } from '@oclif/core';
import { nearest } from '../../model/nearest.ts';
import { quietWhenReaderLeaves, reportFailure } from './base-command.ts';
import { exitCodes } from './exit-codes.ts';
import { CommandFailure } from './failure.ts';

/** Finds the command that the first words name and runs it, or shows help. Never throws; sets the exit code. */
export async function dispatch(argv: string[], codeDir: string, pjson: Interfaces.PJSON): Promise<void> {
  quietWhenReaderLeaves();
  try {
    const config = await Config.load({
      root: codeDir,
      pjson: { ...pjson, oclif: { ...pjson.oclif, commands: './commands' } },
    });
    const words = argv[0] === 'help' ? argv.slice(1) : argv;
    const [id, rest] = commandOf(words, config.commandIDs);
    if (argv[0] === 'help' || asksForHelp(rest) || argv.length === 0) {
      if (id === null && words.length > 0 && !asksForHelp(words.slice(0, 1))) throw unknownCommand(words[0], config);
      const Help = await loadHelpClass(config);
      await new Help(config, config.pjson.oclif.helpOptions).showHelp(id === null ? [] : [id]);
      return;
    }
    if (id === null) throw unknownCommand(argv[0], config);
    await config.runCommand(id, rest);
  } catch (error) {
    reportFailure(error as Error, argv);
  }
}

/** The longest command that the leading words name, `certs rotate` before `certs`, and what follows it. */
function commandOf(argv: readonly string[], ids: readonly string[]): [id: string | null, rest: string[]] {
  for (let words = Math.min(argv.length, 3); words > 0; words--) {
    const id = argv.slice(0, words).join(':');
    if (ids.includes(id)) return [id, argv.slice(words)];
  }
  return [null, [...argv]];
}

function asksForHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end < 0 ? undefined : end).some((word) => word === '--help' || word === '-h');
}

function unknownCommand(word: string, config: Config): CommandFailure {
  const guess = nearest(word, new Set(config.commandIDs.map((id) => id.split(':')[0])));
  return new CommandFailure(
    [
      {
        code: 'MESH-U101',
        message: word.startsWith('-') ? `there is no option \`${word}\` here` : `there is no command \`${word}\``,
        hint: guess === undefined ? '`mesh --help` lists the commands' : `did you mean \`mesh ${guess}\`?`,
      },
    ],
    exitCodes.usage,
  );
}
