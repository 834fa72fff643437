import { run } from './common/run.ts';
import { startWeb } from './web/service.ts';

await run(startWeb);
