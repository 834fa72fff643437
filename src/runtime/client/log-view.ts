import type { LogLine } from '../../model/status.ts';
import type { Style } from './style.ts';

/** Bounds within which the column of instance names grows with the names seen. */
const NAME_COLUMNS = { least: 8, most: 24 };

/** Formats lines as `orders-1 │ text`; remembers the widest name so that the bar stays where it is. */
export function createLogFormat(style: Style, options: { times: boolean }): (line: LogLine) => string {
  let columns = NAME_COLUMNS.least;
  return (line) => {
    columns = Math.min(NAME_COLUMNS.most, Math.max(columns, line.instance.length));
    const name = style.ofName(line.service, line.instance.padEnd(columns));
    const time = options.times ? `${style.dim(line.time.slice(11, 23))} ` : '';
    const bar = line.stream === 'stderr' ? style.red('│') : style.dim('│');
    const text = printable(line.text);
    return `${time}${name} ${bar} ${line.stream === 'mesh' ? style.dim(text) : text}`;
  };
}

/** ESC [ ... m: colours of the service itself, which are welcome. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const SGR = /^\u001b\[[0-9;:]*m/;

/**
 * A service's output without what would move the cursor, clear the screen or switch the character set: control
 * characters become `␀`-like symbols, colours and tabs stay, and a line that ends in colour is reset.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (!/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/.test(text)) return text;
  let clean = '';
  let coloured = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const colour = code === 0x1b ? SGR.exec(text.slice(at, at + 32)) : null;
    if (colour !== null) {
      clean += colour[0];
      coloured = true;
      at += colour[0].length - 1;
    } else if (code < 0x20 && code !== 0x09) clean += String.fromCharCode(0x2400 + code);
    else if (code === 0x7f) clean += '␡';
    else if (code > 0x7f && code < 0xa0) clean += '�';
    else clean += text[at];
  }
  return coloured ? `${clean}\u001b[0m` : clean;
}
