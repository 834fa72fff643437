import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL('.', import.meta.url));
import{renderCertificates}from"../../chunks/chunk-AY4WBIJH.js";import"../../chunks/chunk-EANR5F3U.js";import{MeshCommand}from"../../chunks/chunk-P7GVXELU.js";import"../../chunks/chunk-3SZK64WO.js";import"../../chunks/chunk-IGVHVI44.js";import"../../chunks/chunk-4BRTPG6I.js";var Certs=class _Certs extends MeshCommand{static summary="Show the certificates in force: SPIFFE ID, serial, expiry, issuer.";static examples=["$ mesh certs","$ mesh certs --json","$ mesh certs rotate orders"];async run(){let{flags}=await this.parse(_Certs),certificates=await(await this.connect(flags)).certificates();flags.json?this.printJson({certificates}):this.print(...renderCertificates(certificates,this.style,this.columns))}};export{Certs as default};
