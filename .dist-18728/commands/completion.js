import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL('.', import.meta.url));
import{MeshCommand,require_lib}from"../chunks/chunk-P7GVXELU.js";import"../chunks/chunk-3SZK64WO.js";import"../chunks/chunk-IGVHVI44.js";import{__toESM}from"../chunks/chunk-4BRTPG6I.js";var import_core=__toESM(require_lib(),1);var Completion=class _Completion extends MeshCommand{static summary="Print a completion script for a shell.";static description=["bash: mesh completion bash > ~/.local/share/bash-completion/completions/mesh",'zsh:  mesh completion zsh > "${fpath[1]}/_mesh"',"fish: mesh completion fish > ~/.config/fish/completions/mesh.fish"].join(`
`);static examples=["$ source <(mesh completion bash)","$ mesh completion fish | source"];static args={shell:import_core.Args.string({required:!0,options:["bash","zsh","fish"],description:"shell to complete in"})};async run(){let{args,flags}=await this.parse(_Completion),{completionScript,wordsOf}=await import("../chunks/completion-3SFAJPLY.js"),script=completionScript(args.shell,wordsOf(this.config.commands));flags.json?this.printJson({shell:args.shell,script}):this.print(script.trimEnd())}};export{Completion as default};
