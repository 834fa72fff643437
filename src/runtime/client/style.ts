/** Whether to colour: NO_COLOR, then CLICOLOR_FORCE, then CLICOLOR, then TERM=dumb, then whether a person looks on. */
export function coloursWanted(env: NodeJS.ProcessEnv, isTerminal: boolean): boolean {
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== '') return false;
  if (env.CLICOLOR_FORCE !== undefined && env.CLICOLOR_FORCE !== '' && env.CLICOLOR_FORCE !== '0') return true;
  if (env.CLICOLOR === '0') return false;
  if (env.TERM === 'dumb') return false;
  return isTerminal;
}

/** Whether to draw over lines already written, or ask: never in CI, whatever the output is. */
export function isInteractive(env: NodeJS.ProcessEnv, isTerminal: boolean): boolean {
  return isTerminal && env.TERM !== 'dumb' && (env.CI === undefined || env.CI === '' || env.CI === 'false');
}

export type Paint = (text: string) => string;

/** SGR colours, or none. */
export interface Style {
  bold: Paint;
  dim: Paint;
  red: Paint;
  green: Paint;
  yellow: Paint;
  cyan: Paint;
  /** One of twelve colours that read on dark and light ground, always the same for the same name. */
  ofName: (name: string, text: string) => string;
}

const NAME_COLOURS = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94, 31, 91];

export function createStyle(colours: boolean): Style {
  const sgr = (start: number, end: number): Paint =>
    colours ? (text) => `\u001b[${start}m${text}\u001b[${end}m` : (text) => text;
  return {
    bold: sgr(1, 22),
    dim: sgr(2, 22),
    red: sgr(31, 39),
    green: sgr(32, 39),
    yellow: sgr(33, 39),
    cyan: sgr(36, 39),
    ofName: (name, text) => sgr(NAME_COLOURS[hash(name) % NAME_COLOURS.length], 39)(text),
  };
}

/** FNV-1a */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

/** Colour of an instance's state. */
export function paintState(style: Style, state: string, text = state): string {
  if (state === 'ready' || state === 'completed' || state === 'running') return style.green(text);
  if (state === 'failed' || state === 'down') return style.red(text);
  if (state === 'unhealthy' || state === 'starting' || state === 'stopping' || state === 'draining')
    return style.yellow(text);
  return style.dim(text);
}
