import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL('.', import.meta.url));
import"./chunk-4BRTPG6I.js";var FREE_SERVICES=new Set(["up","logs","scale"]);function wordsOf(commands){return commands.filter(({hidden})=>!hidden).map(command=>({name:command.id.replaceAll(":"," "),summary:command.summary??"",flags:[...Object.values(command.flags).map(flag=>({name:flag.name,char:flag.char??null,summary:flag.summary??flag.description??"",takesValue:flag.type==="option",options:[...flag.type==="option"&&flag.options||[]]})),{name:"help",char:"h",summary:"show help",takesValue:!1,options:[]}],words:[...Object.values(command.args)[0]?.options??[]],takesService:"service"in command.args||FREE_SERVICES.has(command.id)})).sort((a,b)=>a.name<b.name?-1:1)}function completionScript(shell,commands){return{bash,zsh,fish}[shell](commands)}var SERVICES=`mesh ps --json 2>/dev/null | sed -n 's/^      "name": "\\(.*\\)",$/\\1/p'`,flagWords=command=>command.flags.flatMap(({name,char})=>char===null?[`--${name}`]:[`--${name}`,`-${char}`]),topics=commands=>{let found=new Map;for(let command of commands){let[first,second]=command.name.split(" ");second!==void 0&&found.set(first,[...found.get(first)??[],command])}return found};function bash(commands){let firstWords=[...new Set(commands.map(({name})=>name.split(" ")[0]))],inTopics=topics(commands),cases=commands.map(command=>{let below=(inTopics.get(command.name)??[]).map(({name})=>name.split(" ")[1]),values=command.flags.filter(({takesValue})=>takesValue).map(({name,char,options})=>`        --${name}${char===null?"":`|-${char}`}) ${options.length>0?`COMPREPLY=($(compgen -W '${options.join(" ")}' -- "$current"))`:"compopt -o default"}; return ;;`),words=[...command.words,...below].join(" "),services=command.takesService?" $(_mesh_services)":"";return`    '${command.name}')
      case "$previous" in
${values.join(`
`)}
      esac
      if [[ $current == -* ]]; then COMPREPLY=($(compgen -W '${flagWords(command).join(" ")}' -- "$current"))
      else COMPREPLY=($(compgen -W "${words}${services}" -- "$current")); fi ;;`}),second=[...inTopics].map(([topic,below])=>`    ${below.map(({name})=>`'${name}'`).join("|")}) command="${topic} $second" ;;`).join(`
`);return`# bash completion of mesh
_mesh_services() { ${SERVICES}; }
_mesh() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" command="\${COMP_WORDS[1]}" second="\${COMP_WORDS[2]}"
  COMPREPLY=()
  if [[ $COMP_CWORD -le 1 ]]; then
    COMPREPLY=($(compgen -W '${firstWords.join(" ")} help --version --help' -- "$current"))
    return
  fi
  if [[ $COMP_CWORD -gt 2 ]]; then case "$command $second" in
${second}
  esac; fi
  case "$command" in
    help) COMPREPLY=($(compgen -W '${firstWords.join(" ")}' -- "$current")) ;;
${cases.join(`
`)}
  esac
}
complete -F _mesh mesh
`}var quoted=text=>`'${text.replaceAll("'","'\\''")}'`,zshText=text=>text.replaceAll(/[[\]:\\]/g,character=>`\\${character}`).replaceAll("'","");function zsh(commands){let top=commands.filter(({name})=>!name.includes(" ")),inTopics=topics(commands),cases=commands.map(command=>{let below=(inTopics.get(command.name)??[]).map(({name})=>name.split(" ")[1]),specs=command.flags.flatMap(({name,char,summary,takesValue,options})=>{let value=takesValue?`:${name}:${options.length>0?`(${options.join(" ")})`:"_files"}`:"",spec=flag=>`'${flag}[${zshText(summary)}]${value}'`;return char===null?[spec(`--${name}`)]:[spec(`--${name}`),spec(`-${char}`)]}),words=[...command.words,...below];return command.takesService?specs.push("'*:service:_mesh_services'"):words.length>0&&specs.push(`'1:word:(${words.join(" ")})'`),`    ${quoted(command.name)}) _arguments ${specs.join(` \\
      `)} ;;`}),second=[...inTopics].flatMap(([topic,below])=>below.map(({name})=>`  if [[ $command == ${topic} && $words[2] == ${name.split(" ")[1]} ]]; then
    command='${name}'; shift words; (( CURRENT-- ))
  fi`));return`#compdef mesh
_mesh_services() { local -a names; names=(\${(f)"$(${SERVICES})"}); compadd -a names; }
_mesh() {
  local -a commands
  commands=(
${top.map(({name,summary})=>`    '${name}:${zshText(summary)}'`).join(`
`)}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words; (( CURRENT-- ))
${second.join(`
`)}
  case $command in
    help) _describe command commands ;;
${cases.join(`
`)}
  esac
}
if [[ $funcstack[1] == _mesh ]]; then _mesh "$@"; else compdef _mesh mesh; fi
`}function fish(commands){let top=commands.filter(({name})=>!name.includes(" ")),lines=["# fish completion of mesh",`function __mesh_services; ${SERVICES}; end`,"complete -c mesh -f",'complete -c mesh -n __fish_use_subcommand -l version -d "show the version"',...top.map(({name,summary})=>`complete -c mesh -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`)];for(let command of commands){let[first,second]=command.name.split(" "),seen=second===void 0?`__fish_seen_subcommand_from ${first}`:`__fish_seen_subcommand_from ${first}; and __fish_seen_subcommand_from ${second}`,when=`complete -c mesh -n ${quoted(seen)}`;second!==void 0&&lines.push(`complete -c mesh -n ${quoted(`__fish_seen_subcommand_from ${first}`)} -a ${second} -d ${quoted(command.summary)}`);for(let{name,char,summary,takesValue,options}of command.flags){let short=char===null?"":` -s ${char}`,value=takesValue?options.length>0?` -x -a ${quoted(options.join(" "))}`:" -r":"";lines.push(`${when} -l ${name}${short}${value} -d ${quoted(summary)}`)}command.words.length>0&&lines.push(`${when} -a ${quoted(command.words.join(" "))}`),command.takesService&&lines.push(`${when} -a '(__mesh_services)'`)}return`${lines.join(`
`)}
`}export{completionScript,wordsOf};
