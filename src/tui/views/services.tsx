import { Box, Text } from 'ink';
import type { InstanceStatus, MeshStatus, ServiceStatus } from '../../model/status.ts';

interface Row {
  id: string;
  state: string;
  note: string;
}

/** Colours of states; what is not listed is dim. */
const STATE_COLOURS: Record<string, string> = {
  ready: 'green',
  completed: 'green',
  starting: 'yellow',
  stopping: 'yellow',
  unhealthy: 'red',
  failed: 'red',
};

/** Those that need attention come first when there is no room for all. */
const URGENCY = ['failed', 'unhealthy', 'starting', 'stopping', 'ready', 'completed', 'stopped', 'external'];

interface ServicesProps {
  status: MeshStatus;
  rows: number;
  columns: number;
  /** Milliseconds since the epoch. */
  now: number;
}

/** One row for each instance: state, and why it is in it or how long it took. */
export function Services({ status, rows, columns, now }: ServicesProps) {
  const all = rowsOf(status, now);
  const shown = all.length <= rows ? all : mostUrgent(all, rows - 1);
  const nameWidth = Math.min(28, Math.max(6, columns - 14), Math.max(8, ...all.map(({ id }) => id.length)));
  return (
    <Box flexDirection="column">
      {shown.map(({ id, state, note }) => (
        <Box key={id}>
          <Box width={nameWidth + 2} flexShrink={0}>
            <Text wrap="truncate">{id}</Text>
          </Box>
          <Box width={11} flexShrink={0}>
            <Text wrap="truncate" color={STATE_COLOURS[state]} dimColor={STATE_COLOURS[state] === undefined}>
              {state}
            </Text>
          </Box>
          <Text wrap="truncate" dimColor>
            {note}
          </Text>
        </Box>
      ))}
      {shown.length < all.length && (
        <Text wrap="truncate" dimColor>{`… and ${all.length - shown.length} more, see mesh ps`}</Text>
      )}
    </Box>
  );
}

function mostUrgent(rows: readonly Row[], count: number): Row[] {
  const chosen = new Set(
    [...rows].sort((a, b) => URGENCY.indexOf(a.state) - URGENCY.indexOf(b.state)).slice(0, Math.max(0, count)),
  );
  return rows.filter((row) => chosen.has(row));
}

function rowsOf(status: MeshStatus, now: number): Row[] {
  return status.services.flatMap((service) =>
    service.instances.length === 0
      ? [{ id: service.name, state: service.external ? 'external' : 'stopped', note: '' }]
      : service.instances.map((instance) => ({
          id: instance.id,
          state: instance.state,
          note: noteOf(service, instance, now),
        })),
  );
}

function noteOf(service: ServiceStatus, instance: InstanceStatus, now: number): string {
  const parts: string[] = [];
  if (instance.state === 'starting') {
    if (instance.pid === null && service.waitingFor.length > 0) {
      return `waiting for ${service.waitingFor.join(', ')}`;
    }
    if (instance.reason !== '') parts.push(instance.reason);
    if (instance.pid !== null && instance.startedAt !== null) {
      parts.push(seconds(Math.max(0, now - Date.parse(instance.startedAt))));
    }
    return parts.join(' · ');
  }
  if (instance.state === 'ready') {
    if (instance.readyAfterMs !== null) parts.push(`in ${seconds(instance.readyAfterMs)}`);
    if (instance.appPort !== null) parts.push(`port ${instance.appPort}`);
    if (instance.restarts > 0) parts.push(`${instance.restarts} restarts`);
  }
  if (instance.reason !== '') parts.push(instance.reason);
  return parts.join(' · ');
}

export const seconds = (ms: number): string => (ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`);
