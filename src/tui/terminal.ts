import { EventEmitter } from 'node:events';

/** The alternate screen without a cursor: what was on the terminal before is there again afterwards. */
const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const CLEAR = '\u001b[2J';
const TO_END_OF_LINE = '\u001b[K';
/** Terminals that know it show all of a frame at once; the others ignore it. */
const [BEGIN, END] = ['\u001b[?2026h', '\u001b[?2026l'];
/** Ten frames a second. */
const FRAME_MS = 100;

/** Where ink draws to: as much of a terminal's stream as it uses. */
export interface Screen extends EventEmitter {
  readonly columns: number;
  readonly rows: number;
  readonly isTTY: boolean;
  /** A whole frame, each time. */
  write(frame: string): boolean;
  enter(): void;
  leave(): void;
}

interface Output {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): boolean;
  on(event: 'resize' | 'drain', listener: () => void): unknown;
  off(event: 'resize' | 'drain', listener: () => void): unknown;
}

/**
 * Puts whole frames on a terminal's alternate screen: only rows that changed are written, each at its own place, at
 * most ten times a second, and none while the terminal is slower than that. So nothing flickers, and no row is where
 * the last size of the terminal had it. (The incremental mode of ink 6.8 is off by one row below full height.)
 */
export function createScreen(output: Output, clock: () => number = () => performance.now()): Screen {
  const emitter = new EventEmitter();
  let shown: string[] = [];
  let frame: string | null = null;
  let entered = false;
  let blocked = false;
  let drawnAtMs = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | null = null;

  const draw = () => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (!entered || blocked || frame === null) return;
    const lines = frame.split('\n').slice(0, rows());
    let text = '';
    for (let row = 0; row < Math.max(lines.length, shown.length); row++) {
      const line = lines[row] ?? '';
      if (line !== shown[row]) text += `\u001b[${row + 1};1H${line}${TO_END_OF_LINE}`;
    }
    shown = lines;
    if (text === '') return;
    drawnAtMs = clock();
    blocked = !output.write(BEGIN + text + END);
  };
  const onDrain = () => {
    blocked = false;
    draw();
  };
  const onResize = () => {
    if (!entered) return;
    // What the terminal made of the old rows cannot be known.
    shown = [];
    output.write(CLEAR);
    emitter.emit('resize');
    draw();
  };
  const columns = () => Math.max(20, output.columns ?? 80);
  const rows = () => Math.max(4, output.rows ?? 24);
  const leave = () => {
    if (!entered) return;
    draw();
    entered = false;
    process.off('exit', leave);
    output.off('drain', onDrain);
    output.off('resize', onResize);
    output.write(LEAVE);
  };

  Object.defineProperties(emitter, { columns: { get: columns }, rows: { get: rows } });
  return Object.assign(emitter as Screen, {
    isTTY: true,
    write(next: string) {
      // Ink writes nothing at all to learn when all is written.
      if (next === '') return true;
      frame = next;
      const waitMs = drawnAtMs + FRAME_MS - clock();
      if (waitMs <= 0) draw();
      else timer ??= setTimeout(draw, waitMs);
      return true;
    },
    enter() {
      if (entered) return;
      entered = true;
      blocked = false;
      shown = [];
      drawnAtMs = Number.NEGATIVE_INFINITY;
      // Left also when the process ends without anybody closing the view.
      process.on('exit', leave);
      output.on('drain', onDrain);
      output.on('resize', onResize);
      output.write(ENTER + CLEAR);
    },
    leave,
  });
}
