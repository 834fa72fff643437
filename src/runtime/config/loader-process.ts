import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/**
 * Entry of the loader process. A thread of it ends the process when its parent is gone: the main thread may be caught
 * in an endless loop of the user's and would never notice. As text, it is the same from a checkout and when bundled.
 */
const ORPHAN_WATCH = `
const { parentPort, workerData: parent } = require('node:worker_threads');
setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL'); }, 500);
parentPort.postMessage('watching');
`;

const watch = new Worker(ORPHAN_WATCH, { eval: true, execArgv: [], env: {}, workerData: process.ppid });
// A thread that starts asks for the working directory, which loads change, perhaps to one that is removed meanwhile.
const [{ serveLoads }] = await Promise.all([import('./loader-service.ts'), once(watch, 'message')]);
watch.unref();
serveLoads();
