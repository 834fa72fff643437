import type { Command } from '@oclif/core';

type Shell = 'bash' | 'zsh' | 'fish';

type Names = 'services' | 'routes';

/** A command as completion sees it. */
export interface CommandWords {
  /** `certs rotate` */
  name: string;
  summary: string;
  flags: {
    name: string;
    char: string | null;
    summary: string;
    takesValue: boolean;
    options: string[];
    /** What its value is the name of, which the mesh that runs here is asked for. */
    names: Names | null;
  }[];
  /** Fixed words its first argument can be; empty where it takes a service or anything else. */
  words: string[];
  takesService: boolean;
}

/** What a flag's value is, by how its help names it. */
const NAMED: Readonly<Record<string, Names>> = { SERVICE: 'services', ROUTE: 'routes' };

/** From oclif's manifest. Arguments named `service` or `table`, and the free ones of these commands, are service names. */
const FREE_SERVICES = new Set(['up', 'logs', 'scale']);

export function wordsOf(commands: readonly Command.Loadable[]): CommandWords[] {
  return commands
    .filter(({ hidden }) => !hidden)
    .map((command) => ({
      name: command.id.replaceAll(':', ' '),
      summary: command.summary ?? '',
      flags: [
        ...Object.values(command.flags).map((flag) => ({
          name: flag.name,
          char: flag.char ?? null,
          summary: flag.summary ?? flag.description ?? '',
          takesValue: flag.type === 'option',
          options: [...((flag.type === 'option' && flag.options) || [])],
          names: (flag.type === 'option' && NAMED[String(flag.helpValue)]) || null,
        })),
        { name: 'help', char: 'h', summary: 'show help', takesValue: false, options: [], names: null },
      ],
      words: [...(Object.values(command.args)[0]?.options ?? [])],
      takesService: 'service' in command.args || 'table' in command.args || FREE_SERVICES.has(command.id),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * A script that completes commands, flags, their values and, by asking the mesh that runs here, names of services.
 * It is static but for those: it costs no start of `mesh` until a service is wanted.
 */
export function completionScript(shell: Shell, commands: readonly CommandWords[]): string {
  return { bash, zsh, fish }[shell](commands);
}

/** Prints the names of services or routes, without anything to install beside mesh itself. */
const namesOf = (command: string): string =>
  `mesh ${command} --json 2>/dev/null | sed -n 's/^      "name": "\\(.*\\)",$/\\1/p'`;
const PRINT: Readonly<Record<Names, string>> = { services: namesOf('ps'), routes: namesOf('routes') };

const flagWords = (command: CommandWords): string[] =>
  command.flags.flatMap(({ name, char }) => (char === null ? [`--${name}`] : [`--${name}`, `-${char}`]));

const topics = (commands: readonly CommandWords[]): Map<string, CommandWords[]> => {
  const found = new Map<string, CommandWords[]>();
  for (const command of commands) {
    const [first, second] = command.name.split(' ');
    if (second !== undefined) found.set(first, [...(found.get(first) ?? []), command]);
  }
  return found;
};

function bash(commands: readonly CommandWords[]): string {
  const firstWords = [...new Set(commands.map(({ name }) => name.split(' ')[0]))];
  const inTopics = topics(commands);
  const cases = commands.map((command) => {
    const below = (inTopics.get(command.name) ?? []).map(({ name }) => name.split(' ')[1]);
    const values = command.flags
      .filter(({ takesValue }) => takesValue)
      .map(
        ({ name, char, options, names }) =>
          `        --${name}${char === null ? '' : `|-${char}`}) ${
            names !== null
              ? `COMPREPLY=($(compgen -W "$(_mesh_${names})" -- "$current"))`
              : options.length > 0
                ? `COMPREPLY=($(compgen -W '${options.join(' ')}' -- "$current"))`
                : 'compopt -o default'
          }; return ;;`,
      );
    const words = [...command.words, ...below].join(' ');
    const services = command.takesService ? ' $(_mesh_services)' : '';
    return `    '${command.name}')
      case "$previous" in
${values.join('\n')}
      esac
      if [[ $current == -* ]]; then COMPREPLY=($(compgen -W '${flagWords(command).join(' ')}' -- "$current"))
      else COMPREPLY=($(compgen -W "${words}${services}" -- "$current")); fi ;;`;
  });
  const second = [...inTopics]
    .map(([topic, below]) => `    ${below.map(({ name }) => `'${name}'`).join('|')}) command="${topic} $second" ;;`)
    .join('\n');
  return `# bash completion of mesh
_mesh_services() { ${PRINT.services}; }
_mesh_routes() { ${PRINT.routes}; }
_mesh() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" command="\${COMP_WORDS[1]}" second="\${COMP_WORDS[2]}"
  COMPREPLY=()
  if [[ $COMP_CWORD -le 1 ]]; then
    COMPREPLY=($(compgen -W '${firstWords.join(' ')} help --version --help' -- "$current"))
    return
  fi
  if [[ $COMP_CWORD -gt 2 ]]; then case "$command $second" in
${second}
  esac; fi
  case "$command" in
    help) COMPREPLY=($(compgen -W '${firstWords.join(' ')}' -- "$current")) ;;
${cases.join('\n')}
  esac
}
complete -F _mesh mesh
`;
}

/** In single quotes, for zsh and fish alike. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
/** Also safe inside a zsh _arguments or _describe spec. */
const zshText = (text: string): string =>
  text.replaceAll(/[[\]:\\]/g, (character) => `\\${character}`).replaceAll("'", '');

function zsh(commands: readonly CommandWords[]): string {
  const top = commands.filter(({ name }) => !name.includes(' '));
  const inTopics = topics(commands);
  const cases = commands.map((command) => {
    const below = (inTopics.get(command.name) ?? []).map(({ name }) => name.split(' ')[1]);
    const specs = command.flags.flatMap(({ name, char, summary, takesValue, options, names }) => {
      const values = names !== null ? `_mesh_${names}` : options.length > 0 ? `(${options.join(' ')})` : '_files';
      const value = takesValue ? `:${name}:${values}` : '';
      const spec = (flag: string) => `'${flag}[${zshText(summary)}]${value}'`;
      return char === null ? [spec(`--${name}`)] : [spec(`--${name}`), spec(`-${char}`)];
    });
    const words = [...command.words, ...below];
    if (command.takesService) specs.push("'*:service:_mesh_services'");
    else if (words.length > 0) specs.push(`'1:word:(${words.join(' ')})'`);
    return `    ${quoted(command.name)}) _arguments ${specs.join(' \\\n      ')} ;;`;
  });
  const second = [...inTopics].flatMap(([topic, below]) =>
    below.map(
      ({ name }) => `  if [[ $command == ${topic} && $words[2] == ${name.split(' ')[1]} ]]; then
    command='${name}'; shift words; (( CURRENT-- ))
  fi`,
    ),
  );
  return `#compdef mesh
_mesh_services() { local -a names; names=(\${(f)"$(${PRINT.services})"}); compadd -a names; }
_mesh_routes() { local -a names; names=(\${(f)"$(${PRINT.routes})"}); compadd -a names; }
_mesh() {
  local -a commands
  commands=(
${top.map(({ name, summary }) => `    '${name}:${zshText(summary)}'`).join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words; (( CURRENT-- ))
${second.join('\n')}
  case $command in
    help) _describe command commands ;;
${cases.join('\n')}
  esac
}
if [[ $funcstack[1] == _mesh ]]; then _mesh "$@"; else compdef _mesh mesh; fi
`;
}

function fish(commands: readonly CommandWords[]): string {
  const top = commands.filter(({ name }) => !name.includes(' '));
  const lines = [
    '# fish completion of mesh',
    `function __mesh_services; ${PRINT.services}; end`,
    `function __mesh_routes; ${PRINT.routes}; end`,
    'complete -c mesh -f',
    'complete -c mesh -n __fish_use_subcommand -l version -d "show the version"',
    ...top.map(({ name, summary }) => `complete -c mesh -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`),
  ];
  for (const command of commands) {
    const [first, second] = command.name.split(' ');
    const seen =
      second === undefined
        ? `__fish_seen_subcommand_from ${first}`
        : `__fish_seen_subcommand_from ${first}; and __fish_seen_subcommand_from ${second}`;
    const when = `complete -c mesh -n ${quoted(seen)}`;
    if (second !== undefined) {
      lines.push(
        `complete -c mesh -n ${quoted(`__fish_seen_subcommand_from ${first}`)} -a ${second} -d ${quoted(command.summary)}`,
      );
    }
    for (const { name, char, summary, takesValue, options, names } of command.flags) {
      const short = char === null ? '' : ` -s ${char}`;
      const values = names !== null ? `'(__mesh_${names})'` : options.length > 0 ? quoted(options.join(' ')) : null;
      const value = !takesValue ? '' : values === null ? ' -r' : ` -x -a ${values}`;
      lines.push(`${when} -l ${name}${short}${value} -d ${quoted(summary)}`);
    }
    if (command.words.length > 0) lines.push(`${when} -a ${quoted(command.words.join(' '))}`);
    if (command.takesService) lines.push(`${when} -a '(__mesh_services)'`);
  }
  return `${lines.join('\n')}\n`;
}
