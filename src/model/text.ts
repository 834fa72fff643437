/** Text as a terminal shows it: columns taken, cut and padded to columns, nothing that moves the cursor. */

/** One unit, one column each: no need to look closer. ASCII, Latin, dashes and dots, control pictures, arrows, lines, blocks. */
const PLAIN =
  /^[\u0020-\u007e\u00a1-\u00a8\u00aa-\u00ac\u00af-\u02ff\u2010-\u2027\u2190-\u2193\u2400-\u243f\u2500-\u259f\u25b8]*$/;
const ZERO = /^[\p{M}\p{Cf}\p{Cc}\p{Zl}\p{Zp}]+$/u;
const EMOJI = /\p{Emoji_Presentation}|\p{Extended_Pictographic}\ufe0f|\p{Regional_Indicator}{2}|[#*0-9]\ufe0f?\u20e3/u;

let segmenter: Intl.Segmenter | null = null;

/** What is one character for people: a letter with its accents, a flag, a family. */
function graphemes(text: string): string[] {
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

/** Columns of one grapheme: 0, 1 or 2. */
function columnsOf(grapheme: string): number {
  if (ZERO.test(grapheme)) return 0;
  if (EMOJI.test(grapheme)) return 2;
  return isWide(grapheme.codePointAt(0)!) ? 2 : 1;
}

/** East Asian Width W and F (Unicode TR 11), as far as planes 0, 2 and 3 go; emoji are told by their property. */
const isWide = (point: number): boolean =>
  point >= 0x1100 &&
  (point <= 0x115f ||
    (point >= 0x2e80 && point <= 0x303e) ||
    (point >= 0x3041 && point <= 0xa4cf) ||
    (point >= 0xa960 && point <= 0xa97c) ||
    (point >= 0xac00 && point <= 0xd7a3) ||
    (point >= 0xf900 && point <= 0xfaff) ||
    (point >= 0xfe10 && point <= 0xfe19) ||
    (point >= 0xfe30 && point <= 0xfe6f) ||
    (point >= 0xff01 && point <= 0xff60) ||
    (point >= 0xffe0 && point <= 0xffe6) ||
    (point >= 0x20000 && point <= 0x3fffd));

/** Columns that a text without control characters takes. */
export function displayWidth(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let columns = 0;
  for (const grapheme of graphemes(text)) columns += columnsOf(grapheme);
  return columns;
}

/** The start of a text that fits, with an ellipsis where something was cut off. Never wider than `columns`. */
export function truncate(text: string, columns: number): string {
  if (columns <= 0) return '';
  if (PLAIN.test(text)) return text.length <= columns ? text : `${text.slice(0, columns - 1)}…`;
  let width = 0;
  let kept = '';
  let keptWithRoom = '';
  for (const grapheme of graphemes(text)) {
    width += columnsOf(grapheme);
    if (width > columns) return `${keptWithRoom}…`;
    kept += grapheme;
    if (width < columns) keptWithRoom = kept;
  }
  return kept;
}

/** The end of a text that fits: of file names and identities the end tells more. */
export function truncateStart(text: string, columns: number): string {
  if (columns <= 0) return '';
  if (displayWidth(text) <= columns) return text;
  let width = 1;
  let kept = '';
  for (const grapheme of graphemes(text).reverse()) {
    width += columnsOf(grapheme);
    if (width > columns) break;
    kept = grapheme + kept;
  }
  return `…${kept}`;
}

/** Cut or filled to exactly so many columns. */
export function pad(text: string, columns: number, align: 'left' | 'right' = 'left'): string {
  const cut = truncate(text, columns);
  const padding = ' '.repeat(Math.max(0, columns - displayWidth(cut)));
  return align === 'left' ? cut + padding : padding + cut;
}

/** In pieces that fit, broken at spaces where there are some. */
export function wrap(text: string, columns: number): string[] {
  const width = Math.max(1, columns);
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    let line = '';
    for (const word of paragraph.split(/(?<= )/)) {
      if (displayWidth(line + word.trimEnd()) <= width) {
        line += word;
        continue;
      }
      if (line.trim() !== '') lines.push(line.trimEnd());
      line = word;
      while (displayWidth(line.trimEnd()) > width) {
        const head = headOf(line, width);
        lines.push(head);
        line = line.slice(head.length);
      }
    }
    lines.push(line.trimEnd());
  }
  return lines;
}

/** As much as fits, at least one grapheme. */
function headOf(text: string, columns: number): string {
  let width = 0;
  let head = '';
  for (const grapheme of graphemes(text)) {
    width += columnsOf(grapheme);
    if (width > columns && head !== '') break;
    head += grapheme;
  }
  return head;
}

/** Characters that move the cursor, end the line, change its direction or take no room, and halves of pairs. */
const UNSEEN = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu;

/**
 * What came over the network or from a log, as one line that shows what is in it: control characters become their
 * pictures (`␛`), those that change the direction of text become `�`. A terminal never sees the original.
 */
export function visible(text: string, maxCharacters = 2_048): string {
  const short = text.length > maxCharacters ? `${text.slice(0, maxCharacters)}…` : text;
  if (PLAIN.test(short)) return short;
  return short.replaceAll(UNSEEN, (character) => {
    const code = character.codePointAt(0)!;
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    return code === 0x7f ? '␡' : '�';
  });
}

/** Output of a service as one line: its colours and other escape sequences go, tabs become spaces. */
export function withoutEscapes(text: string, maxCharacters = 4_096): string {
  const short = text.length > maxCharacters ? `${text.slice(0, maxCharacters)}…` : text;
  if (PLAIN.test(short)) return short;
  return (
    short
      // CSI, OSC up to BEL or ST, then any other two-character sequence.
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
      .replaceAll(/\u001b\[[0-9;:?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b./g, '')
      .replaceAll('\t', '  ')
      .split('\n')[0]
      .replaceAll(UNSEEN, '')
  );
}
