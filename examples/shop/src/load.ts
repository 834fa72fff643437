import { run } from './common/run.ts';
import { startLoad } from './load/service.ts';

await run(startLoad);
