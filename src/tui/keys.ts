import type { Key } from 'ink';

/** Names of the keys that have one, as `press` knows them. */
const NAMED: readonly [keyof Key, string][] = [
  ['upArrow', 'up'],
  ['downArrow', 'down'],
  ['pageUp', 'pageup'],
  ['pageDown', 'pagedown'],
  ['home', 'home'],
  ['end', 'end'],
  ['return', 'enter'],
  ['escape', 'escape'],
  // Terminals send DEL for backspace, which ink calls `delete`.
  ['backspace', 'backspace'],
  ['delete', 'backspace'],
];

/** Keys of one read: several characters come at once when they are typed fast or pasted. */
export function keysOf(input: string, key: Key): string[] {
  if (key.tab) return [key.shift ? 'shift-tab' : 'tab'];
  const named = NAMED.find(([flag]) => key[flag] === true);
  if (named !== undefined) return [named[1]];
  if (key.ctrl) return [`ctrl-${input}`];
  // No key of this view is one with Alt: it is Esc with a key that came in the same read.
  const before = key.meta ? ['escape'] : [];
  const typed = Array.from(input, (character) =>
    character === '\r' || character === '\n' ? 'enter' : character,
  ).filter((character) => character === 'enter' || character >= ' ');
  return [...before, ...typed];
}
