import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL('.', import.meta.url));
import{MeshCommand,require_lib}from"../chunks/chunk-P7GVXELU.js";import"../chunks/chunk-3SZK64WO.js";import"../chunks/chunk-IGVHVI44.js";import{__toESM}from"../chunks/chunk-4BRTPG6I.js";var import_core=__toESM(require_lib(),1);var Stop=class _Stop extends MeshCommand{static summary="Stop one service; the rest of the mesh goes on.";static description="Requests in flight are drained first. Returns when its processes are gone.";static examples=["$ mesh stop orders"];static args={service:import_core.Args.string({required:!0,description:"service to stop"})};async run(){let{args,flags}=await this.parse(_Stop),client=await this.connect(flags);this.unwrap(await client.stop(args.service)),this.done(flags.json,`${args.service} stopped`,{service:args.service})}};export{Stop as default};
