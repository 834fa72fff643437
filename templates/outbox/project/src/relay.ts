// Publishes what the service has put into its outbox. A process of its own: start several, one works, the others take over.
import { createLog } from '../../../shared/log.ts';
import { runUntilSignal } from '../../../shared/process.ts';
import { startRelayProcess } from '../../common/outbox-relay-process.ts';
import { RELAY_MODE } from './relay-mode.ts';

const { env } = process;

await runUntilSignal(createLog('order-desk-relay', env), () =>
  startRelayProcess({ name: 'order_desk_relay', mode: RELAY_MODE }, env),
);
