import { Box, Text, useInput } from 'ink';
import { useSyncExternalStore } from 'react';
import { keysOf } from './keys.ts';
import type { Line } from './layout/lines.ts';
import { frameOf } from './screen.ts';
import type { ViewSource } from './store.ts';
import type { Ui } from './ui.ts';
import type { Effect } from './ui-state.ts';

export interface AppProps {
  source: ViewSource;
  ui: Ui;
  onEffect: (effect: Effect) => void;
  columns: number;
  rows: number;
  /** False: NO_COLOR. Weights and the selection stay. */
  colours: boolean;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** One frame, row by row; where everything stands is decided by pure functions. */
export function App({ source, ui, onEffect, columns, rows, colours, now }: AppProps) {
  useSyncExternalStore(source.subscribe, source.getSnapshot);
  useSyncExternalStore(ui.subscribe, ui.getSnapshot);
  useInput((input, key) => {
    for (const each of keysOf(input, key)) {
      const effect = ui.press(each, { columns, rows }, now());
      if (effect !== null) onEffect(effect);
    }
  });
  return (
    <Box flexDirection="column" width={columns}>
      {frameOf(ui.looking(now()), { columns, rows }).map((line, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a row of the screen is its place
        <Row key={index} line={line} colours={colours} />
      ))}
    </Box>
  );
}

function Row({ line, colours }: { line: Line; colours: boolean }) {
  return (
    <Text wrap="truncate">
      {line.length === 0
        ? ' '
        : line.map(({ text, colour, bold, dim, inverse }, index) => (
            <Text
              // biome-ignore lint/suspicious/noArrayIndexKey: spans have no other name
              key={index}
              color={colours ? colour : undefined}
              bold={bold}
              dimColor={dim}
              inverse={inverse}
            >
              {text}
            </Text>
          ))}
    </Text>
  );
}
