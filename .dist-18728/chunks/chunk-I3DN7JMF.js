import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL('.', import.meta.url));
import{existsSync}from"node:fs";import path from"node:path";function packageRoot(){let directory=import.meta.dirname;for(;!existsSync(path.join(directory,"proto","mesh","control","v1","control.proto"));){let parent=path.dirname(directory);if(parent===directory)throw new Error(`the package of ${import.meta.dirname} is incomplete: no proto directory`);directory=parent}return directory}export{packageRoot};
