import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import { fail, ok, type Result } from '../../model/result.ts';
import { storageProblem } from './mesh-directory.ts';
import { readProcess } from './process-table.ts';

/** A process that was about to be started, or was, and whose end is not recorded. */
export interface LedgerEntry {
  /** Value of MESH_PROCESS_ID in its environment: `<mesh key>.<uuid>`. */
  marker: string;
  /** Instance it belongs to, or what else it is for: `orders-1`, `build of orders`, `data plane 1`. */
  instance: string;
  command: string;
  /** Ports that it, or mesh in front of it, was given. */
  ports: readonly number[];
  /** Null: the recorder died between the intent and the start; only the marker tells whether there is a process. */
  process: { pid: number; pgid: number; startTime: string; startOrder: number } | null;
}

/**
 * Append-only journal of the processes of a mesh, one JSON object a line. Each is entered before it is spawned, with
 * a marker that goes into its environment, so there is no moment at which a process runs unrecorded. Nothing is
 * fsynced: the journal has to outlive the daemon, not the machine, whose end is also the end of the processes.
 */
export interface Ledger {
  /** Part of the marker that all processes of this mesh share, dot included. */
  readonly markerPrefix: string;
  /** Enters a process that is about to be spawned; the value is its marker. */
  intend(process: { instance: string; command: string; ports: readonly number[] }): Result<string>;
  /** Completes the entry, right after the spawn. */
  started(marker: string, pid: number): Result<void>;
  /** The process, and all it left behind, is gone. */
  ended(marker: string): void;
  live(): LedgerEntry[];
  close(): void;
}

type Line =
  | { event: 'intent'; marker: string; instance: string; command: string; ports: readonly number[] }
  | { event: 'started'; marker: string; pid: number; pgid: number; startTime: string; startOrder: number }
  | { event: 'ended'; marker: string };

/** Ended entries that may pile up before the file is written anew. */
const COMPACT_AFTER_LINES = 2_000;

/** `file` need not exist. `key` is that of the mesh directory. */
export function openLedger(file: string, key: string): Result<Ledger> {
  const entries = new Map<string, LedgerEntry>();
  let fd: number;
  let lines = 0;

  const rewrite = (): void => {
    const draft = `${file}.new`;
    const kept = [...entries.values()].flatMap(linesOf);
    fs.writeFileSync(draft, kept.map((line) => `${JSON.stringify(line)}\n`).join(''), { mode: 0o600 });
    const next = fs.openSync(draft, 'a', 0o600);
    fs.renameSync(draft, file);
    fs.closeSync(fd);
    fd = next;
    lines = kept.length;
  };

  const append = (line: Line): Result<void> => {
    try {
      const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
      const written = fs.writeSync(fd, bytes);
      if (written < bytes.length) {
        // The disk filled up in the middle of the line: end it, so that it spoils no other one.
        fs.writeSync(fd, '\n');
        return fail(storageProblem(file, Object.assign(new Error('short write'), { code: 'ENOSPC' })));
      }
      lines++;
      return ok(undefined);
    } catch (error) {
      return fail(storageProblem(file, error));
    }
  };

  const compact = (): void => {
    if (lines < COMPACT_AFTER_LINES + entries.size * 2) return;
    try {
      rewrite();
    } catch {
      // No room for the new file: the old one goes on, and the next end tries again.
    }
  };

  try {
    const text = readExisting(file);
    for (const line of parseLines(text)) {
      apply(entries, line);
      lines++;
    }
    fd = fs.openSync(file, 'a', 0o600);
    // A line torn by a crash must not swallow the next one.
    if (text !== '' && !text.endsWith('\n')) fs.writeSync(fd, '\n');
  } catch (error) {
    return fail(storageProblem(file, error));
  }
  compact();

  return ok({
    markerPrefix: `${key}.`,
    intend({ instance, command, ports }) {
      const line: Line = { event: 'intent', marker: `${key}.${randomUUID()}`, instance, command, ports: [...ports] };
      const written = append(line);
      if (!written.ok) return written;
      apply(entries, line);
      return ok(line.marker);
    },
    started(marker, pid) {
      const entry = readProcess(pid);
      // Already over: nothing to find later but what it left, which the marker finds.
      if (entry === null) return ok(undefined);
      // It was made leader of its own group by the spawn, though setpgid may not have happened as far as /proc shows.
      const line: Line = {
        event: 'started',
        marker,
        pid,
        pgid: pid,
        startTime: entry.startTime,
        startOrder: entry.startOrder,
      };
      const written = append(line);
      apply(entries, line);
      return written;
    },
    ended(marker) {
      if (!entries.has(marker)) return;
      const line: Line = { event: 'ended', marker };
      append(line);
      apply(entries, line);
      compact();
    },
    live: () => [...entries.values()],
    close: () => fs.closeSync(fd),
  });
}

/** What a ledger says, for looking only: to act on it takes the mesh's lock and `openLedger`. Unreadable: nothing. */
export function readLedger(file: string): LedgerEntry[] {
  const entries = new Map<string, LedgerEntry>();
  try {
    for (const line of parseLines(readExisting(file))) apply(entries, line);
  } catch {
    return [];
  }
  return [...entries.values()];
}

function readExisting(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

function* parseLines(text: string): Generator<Line> {
  for (const line of text.split('\n')) {
    if (line === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      continue;
    }
    if (isLine(value)) yield value;
  }
}

function isLine(value: unknown): value is Line {
  if (typeof value !== 'object' || value === null) return false;
  const line = value as Record<string, unknown>;
  if (typeof line.marker !== 'string') return false;
  if (line.event === 'intent') return typeof line.instance === 'string' && Array.isArray(line.ports);
  if (line.event === 'started') return typeof line.pid === 'number' && typeof line.startTime === 'string';
  return line.event === 'ended';
}

function apply(entries: Map<string, LedgerEntry>, line: Line): void {
  if (line.event === 'intent') {
    const { marker, instance, command, ports } = line;
    entries.set(marker, { marker, instance, command: String(command), ports, process: null });
  } else if (line.event === 'started') {
    const entry = entries.get(line.marker);
    const { pid, pgid, startTime, startOrder } = line;
    if (entry !== undefined) entries.set(line.marker, { ...entry, process: { pid, pgid, startTime, startOrder } });
  } else entries.delete(line.marker);
}

function linesOf(entry: LedgerEntry): Line[] {
  const { marker, instance, command, ports } = entry;
  const intent: Line = { event: 'intent', marker, instance, command, ports };
  return entry.process === null ? [intent] : [intent, { event: 'started', marker, ...entry.process }];
}
