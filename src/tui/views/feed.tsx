import { Box, Text } from 'ink';
import type { FeedLine } from '../store.ts';

const COLOURS = ['cyan', 'magenta', 'blue', 'yellow', 'green', 'cyanBright', 'magentaBright', 'blueBright'];

/** The last lines that fit, one row each: what services wrote and what mesh has to say. */
export function Feed({ lines, rows }: { lines: readonly FeedLine[]; rows: number }) {
  const shown = lines.slice(-Math.max(0, rows));
  const instances = shown.filter(({ kind }) => kind === 'log').map(({ source }) => source.length);
  const width = Math.min(20, Math.max(0, ...instances));
  return (
    <Box flexDirection="column">
      {shown.map((line) => (
        <Text key={line.key} wrap="truncate">
          {line.kind === 'log' ? (
            <>
              <Text color={colourOf(line.source)}>{line.source.slice(0, width).padEnd(width)}</Text>
              <Text color={line.level === 'warning' ? 'red' : undefined} dimColor={line.level !== 'warning'}>
                {' │ '}
              </Text>
              {line.text}
            </>
          ) : (
            <Text bold color={{ info: 'cyan', warning: 'yellow', error: 'red' }[line.level]}>
              {line.source === '' ? line.text : `${line.source} ${line.text}`}
            </Text>
          )}
        </Text>
      ))}
    </Box>
  );
}

/** Instances of one service share a colour: the number at the end does not count. */
function colourOf(instance: string): string {
  let hash = 0;
  for (const character of instance.replace(/-\d+$/, '')) hash = (hash * 31 + character.codePointAt(0)!) >>> 0;
  return COLOURS[hash % COLOURS.length];
}
