import { run } from './common/run.ts';
import { startOrders } from './orders/service.ts';

await run(startOrders);
