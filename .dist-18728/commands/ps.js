import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL('.', import.meta.url));
import{renderStatus}from"../chunks/chunk-AY4WBIJH.js";import"../chunks/chunk-EANR5F3U.js";import{MeshCommand}from"../chunks/chunk-P7GVXELU.js";import"../chunks/chunk-3SZK64WO.js";import"../chunks/chunk-IGVHVI44.js";import"../chunks/chunk-4BRTPG6I.js";var Ps=class _Ps extends MeshCommand{static summary="Show services, instances, states, ports, restarts and identities.";static description="Problems of the last save of mesh.config.ts are shown below the table; until they are solved the previous configuration stays in force.";static examples=["$ mesh ps","$ mesh ps --json | jq '.services[].instances[].state'"];async run(){let{flags}=await this.parse(_Ps),status=await(await this.connect(flags)).status();flags.json?this.printJson(status):this.print(...renderStatus(status,this.style,{columns:this.columns,now:Date.now(),cwd:process.cwd()}))}};export{Ps as default};
