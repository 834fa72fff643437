/** A relay to be killed: `outbox-relay.ts MODE NAME`; databases as in the environment of a service. */
import { startRelayProcess } from '../../templates/outbox/common/outbox-relay-process.ts';

const [mode, name] = process.argv.slice(2);
await startRelayProcess({ mode: mode as 'wal' | 'polling', name }, { ...process.env, PORT: '0' });
