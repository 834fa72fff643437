import { isInteractive } from './style.ts';

const CLEAR_BELOW = '\u001b[J';

/** Draws lines over those drawn before on a terminal; elsewhere one drawing follows the other, with an empty line between. */
export function createRepaint(output: NodeJS.WriteStream, env = process.env): (lines: readonly string[]) => void {
  const over = isInteractive(env, output.isTTY === true);
  let drawn = 0;
  return (lines) => {
    // What does not fit would scroll away and be drawn again and again.
    const shown = over ? lines.slice(0, Math.max(1, (output.rows ?? 24) - 1)) : lines;
    const before = drawn === 0 ? '' : over ? `\u001b[${drawn}A\r${CLEAR_BELOW}` : '\n';
    output.write(`${before}${shown.join('\n')}\n`);
    drawn = shown.length;
  };
}
