import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL('.', import.meta.url));
import{MeshCommand,require_lib}from"../chunks/chunk-P7GVXELU.js";import"../chunks/chunk-3SZK64WO.js";import"../chunks/chunk-IGVHVI44.js";import{__toESM}from"../chunks/chunk-4BRTPG6I.js";var import_core=__toESM(require_lib(),1);var Start=class _Start extends MeshCommand{static summary="Start a service that was stopped or failed.";static description="Returns when it was started, not when it is ready: for that see `mesh wait`.";static examples=["$ mesh start orders","$ mesh start orders && mesh wait orders --for ready"];static args={service:import_core.Args.string({required:!0,description:"service to start"})};async run(){let{args,flags}=await this.parse(_Start),client=await this.connect(flags);this.unwrap(await client.start(args.service)),this.done(flags.json,`${args.service} started`,{service:args.service})}};export{Start as default};
