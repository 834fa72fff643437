import { run } from './common/run.ts';
import { startInventory } from './inventory/service.ts';

await run(startInventory);
