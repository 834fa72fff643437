import { runDataPlane } from './data-plane.ts';

// Short reads and writes are cut from shared blocks; with Node's 8 KiB a block lasts for a few requests only, and each is
// garbage outside V8's heap.
Buffer.poolSize = 64 * 1024;
runDataPlane();
