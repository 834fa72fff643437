/**
 * What `/` takes: words that all have to be there, in any field, whatever their case; `!word`: not there;
 * `field:text` looks in one field; `5xx`: a class of statuses; `>100ms` and `<2s` compare the row's duration.
 */
export interface Filterable {
  /** By the name that may be typed before the colon. */
  fields: Readonly<Record<string, string>>;
  durationMs?: number;
}

type Term = (row: Filterable) => boolean;

/** A class of statuses. */
const CLASS = /^[1-5]xx$/;
const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000 };

export function parseFilter(text: string): (row: Filterable) => boolean {
  const terms = text
    .trim()
    .split(/\s+/)
    .filter((word) => word !== '' && word !== '!')
    .map(parseTerm);
  return (row) => terms.every((term) => term(row));
}

function parseTerm(word: string): Term {
  if (word.startsWith('!')) {
    const term = parseTerm(word.slice(1));
    return (row) => !term(row);
  }
  const comparison = /^([<>])(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(word);
  if (comparison !== null) {
    const limitMs = Number(comparison[2]) * UNITS[comparison[3] ?? 'ms'];
    return ({ durationMs }) =>
      durationMs !== undefined && (comparison[1] === '>' ? durationMs >= limitMs : durationMs < limitMs);
  }
  const colon = word.indexOf(':');
  const name = word.slice(0, colon).toLowerCase();
  const wanted = word.slice(colon + 1).toLowerCase();
  const anywhere = word.toLowerCase();
  return ({ fields }) => {
    // `http://x` and the like are text unless the row has a field of that name.
    if (colon > 0 && Object.hasOwn(fields, name)) return matches(name, fields[name].toLowerCase(), wanted);
    if (CLASS.test(anywhere) && Object.hasOwn(fields, 'status')) return matches('status', fields.status, anywhere);
    return Object.values(fields).some((value) => value.toLowerCase().includes(anywhere));
  };
}

/** `status:5xx` stands for a class; all else is part of the text. */
function matches(name: string, value: string, wanted: string): boolean {
  if (name === 'status' && CLASS.test(wanted)) return value.length === 3 && value[0] === wanted[0];
  return value.includes(wanted);
}
