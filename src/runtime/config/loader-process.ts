import { Worker } from 'node:worker_threads';
import { serveLoads } from './loader-service.ts';

/**
 * Entry of the loader process. A thread of it ends the process when its parent is gone: the main thread may be caught
 * in an endless loop of the user's and would never notice. As text, it is the same from a checkout and when bundled.
 */
const ORPHAN_WATCH = `
const { workerData: parent } = require('node:worker_threads');
setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL'); }, 500);
`;

new Worker(ORPHAN_WATCH, { eval: true, execArgv: [], env: {}, workerData: process.ppid }).unref();
serveLoads();
