import { fileURLToPath } from 'node:url';
import { describeRelay } from '../../common/outbox-tests.ts';
import { RELAY_MODE } from '../src/relay-mode.ts';

describeRelay(RELAY_MODE, fileURLToPath(new URL('../migrations', import.meta.url)));
