import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL('.', import.meta.url));
import{ControlError,connectControl}from"./chunk-WNMM4LI2.js";import"./chunk-I3DN7JMF.js";import"./chunk-IGVHVI44.js";import"./chunk-4BRTPG6I.js";export{ControlError,connectControl};
