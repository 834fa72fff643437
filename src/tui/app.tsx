import { Box, Text, useInput } from 'ink';
import { useSyncExternalStore } from 'react';
import type { MeshStatus } from '../model/status.ts';
import type { ViewSource } from './store.ts';
import { Feed } from './views/feed.tsx';
import { Services, seconds } from './views/services.tsx';

export interface AppProps {
  source: ViewSource;
  onInterrupt: () => void;
  columns: number;
  rows: number;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** Title, services, feed, and one line with the URLs and the keys; never higher than the terminal. */
export function App({ source, onInterrupt, columns, rows, now }: AppProps) {
  const { status, feed, ready, readyAfterMs, remark } = useSyncExternalStore(source.subscribe, source.getSnapshot);
  useInput((input, key) => {
    if (input === 'q' || (key.ctrl && input === 'c')) onInterrupt();
  });
  if (status === null) return <Text dimColor>starting the mesh …</Text>;

  const instances = status.services.reduce((sum, { instances: all }) => sum + Math.max(1, all.length), 0);
  // One row is left free: a frame as high as the terminal makes it scroll.
  const free = Math.max(4, rows - 4);
  const serviceRows = Math.min(instances, Math.max(2, Math.floor(free / 2)));
  return (
    <Box flexDirection="column" width={columns}>
      <Title status={status} />
      <Services status={status} rows={serviceRows} columns={columns} now={now()} />
      <Text dimColor>{'─'.repeat(columns)}</Text>
      <Feed lines={feed} rows={free - serviceRows} />
      <Box justifyContent="space-between">
        <Text wrap="truncate" bold>
          {remark === '' ? summary(status, ready, readyAfterMs) : remark}
        </Text>
        <Box flexShrink={0} marginLeft={2}>
          <Text dimColor>q stop</Text>
        </Box>
      </Box>
    </Box>
  );
}

function Title({ status }: { status: MeshStatus }) {
  const bad = status.config.problems.filter(({ severity }) => severity !== 'warning').length;
  return (
    <Text wrap="truncate">
      <Text bold>{status.mesh}</Text>
      <Text dimColor>{`  ${status.state}  pid ${status.pid}  config version ${status.config.version}`}</Text>
      {bad > 0 && <Text color="red">{`  last save not applied: ${bad} ${bad === 1 ? 'problem' : 'problems'}`}</Text>}
    </Text>
  );
}

function summary(status: MeshStatus, ready: boolean, readyAfterMs: number | null): string {
  const { http, https } = status.gateway;
  const urls = [
    ...(http === undefined ? [] : [`http://localhost:${http}`]),
    ...(https === undefined ? [] : [`https://${status.mesh}.localhost:${https}`]),
  ].join('  ');
  if (!ready) {
    const instances = status.services.flatMap((service) => service.instances);
    const done = instances.filter(({ state }) => state === 'ready' || state === 'completed').length;
    return `${done} of ${instances.length} ready`;
  }
  return `ready${readyAfterMs === null ? '' : ` in ${seconds(readyAfterMs)}`}${urls === '' ? '' : `  ${urls}`}`;
}
