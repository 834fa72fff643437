import { run } from './common/run.ts';
import { startPayments } from './payments/service.ts';

await run(startPayments);
