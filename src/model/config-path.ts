/**
 * Places in a configuration, as problems name them: `services.orders.routes[0].headers["x.y"]`.
 */

export type PathSegment = string | number;

const PLAIN_KEY = /^[A-Za-z0-9_$-]+$/;

/** Segments to text: keys joined by dots, indices in brackets, keys that are no plain words quoted in brackets. */
export function formatPath(segments: readonly PathSegment[]): string {
  let text = '';
  for (const segment of segments) {
    if (typeof segment === 'number') text += `[${segment}]`;
    else if (!PLAIN_KEY.test(segment)) text += `[${JSON.stringify(segment)}]`;
    else text += text === '' ? segment : `.${segment}`;
  }
  return text;
}

/** The segments of a path that `formatPath` wrote. */
export function parsePath(path: string): PathSegment[] {
  const segments: PathSegment[] = [];
  const token = /\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|\.?([A-Za-z0-9_$-]+)/y;
  while (token.lastIndex < path.length) {
    const found = token.exec(path);
    if (found === null) throw new Error(`not a configuration path: ${path}`);
    if (found[1] !== undefined) segments.push(Number(found[1]));
    else segments.push(found[2] === undefined ? found[3] : (JSON.parse(found[2]) as string));
  }
  return segments;
}

/** Whether `path` is `base` or lies below it. */
export function isWithin(path: string, base: string): boolean {
  if (base === '') return true;
  return (
    path.startsWith(base) && (path.length === base.length || path[base.length] === '.' || path[base.length] === '[')
  );
}
