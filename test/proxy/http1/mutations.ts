/** Mulberry32: small, seeded, and good enough to choose mutations. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** Pieces that parsers have been known to disagree about. */
const PIECES: readonly string[] = [
  ...[
    '\r',
    '\n',
    '\r\n',
    '\0',
    ' ',
    '\t',
    '\x0b',
    '\x7f',
    '\x80',
    '\xff',
    ':',
    ',',
    ';',
    '=',
    '"',
    '0',
    '5',
    '-',
    '+',
    '#',
    '*',
    '@',
  ],
  ...['\r\n\r\n', '\r\n ', '\n\n', 'HTTP/1.1', 'chunked', '0\r\n\r\n', '5\r\n', ' HTTP/1.0', 'close', ';a=b'],
  ...[
    'Content-Length: 5\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Host: b\r\n',
    'Connection: close\r\n',
    'X: y\r\n',
    'TE: trailers\r\n',
  ],
];

function mutate(text: string, corpus: readonly string[], below: (n: number) => number): string {
  const at = below(text.length + 1);
  const lines = text.split('\r\n');
  const line = below(lines.length);
  switch (below(8)) {
    case 0:
    case 1:
      return text.slice(0, at) + PIECES[below(PIECES.length)] + text.slice(at);
    case 2:
      return text.slice(0, at) + text.slice(at + 1 + below(3));
    case 3:
      return text.slice(0, at) + PIECES[below(22)] + text.slice(at + 1);
    case 4:
      lines.splice(line, 0, lines[below(lines.length)]);
      return lines.join('\r\n');
    case 5:
      lines[line] = lines[line].toUpperCase();
      return lines.join('\r\n');
    case 6: {
      const end = text.indexOf('\r\n', at);
      return end < 0 ? text : `${text.slice(0, end + 2)}${PIECES[PIECES.length - 1 - below(6)]}${text.slice(end + 2)}`;
    }
    default:
      return text + corpus[below(corpus.length)];
  }
}

/** `count` texts, each one of the corpus with one to three mutations. */
export function mutations(corpus: readonly string[], count: number, seed: number): string[] {
  const below = random(seed);
  return Array.from({ length: count }, () => {
    let text = corpus[below(corpus.length)];
    for (let n = 1 + below(3); n > 0; n--) text = mutate(text, corpus, below);
    return text;
  });
}
