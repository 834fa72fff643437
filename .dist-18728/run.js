import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL('.', import.meta.url));
import{packageRoot}from"./chunks/chunk-I3DN7JMF.js";import"./chunks/chunk-4BRTPG6I.js";import{readFileSync}from"node:fs";import path from"node:path";async function main(argv,codeDir){let pjson=JSON.parse(readFileSync(path.join(packageRoot(),"package.json"),"utf8"));if(argv[0]==="--version"||argv[0]==="-v"){process.stdout.write(`${pjson.name}/${pjson.version} ${process.platform}-${process.arch} node-${process.version}
`);return}let{dispatch}=await import("./chunks/dispatch-XIABDP2E.js");await dispatch(argv,codeDir,pjson)}export{main};
