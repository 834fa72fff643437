import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL('.', import.meta.url));
import{MeshCommand,require_lib}from"../chunks/chunk-P7GVXELU.js";import"../chunks/chunk-3SZK64WO.js";import"../chunks/chunk-IGVHVI44.js";import{__toESM}from"../chunks/chunk-4BRTPG6I.js";var import_core=__toESM(require_lib(),1);var Restart=class _Restart extends MeshCommand{static summary="Restart one service without failing its callers.";static description="The old process serves until the new one is ready where that is possible; otherwise requests wait for it.";static examples=["$ mesh restart orders"];static args={service:import_core.Args.string({required:!0,description:"service to restart"})};async run(){let{args,flags}=await this.parse(_Restart),client=await this.connect(flags);this.unwrap(await client.restart(args.service)),this.done(flags.json,`${args.service} restarted`,{service:args.service})}};export{Restart as default};
