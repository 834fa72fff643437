import type { RequestEvent, TapFilter } from '../../model/events.ts';
import type { ControlClient } from '../control/client.ts';
import { explainSilence } from './tap-view.ts';

/** Silence for so long gets an explanation. */
const SILENCE_MS = 3_000;
/** Dropped requests are told of at most so often. */
const DROPPED_INTERVAL_MS = 1_000;

export interface TapOutput {
  show(events: readonly RequestEvent[]): void;
  /** Beside the events: why there are none, how many were left out. */
  remark(text: string): void;
}

/** Shows requests until the signal aborts or `count` were shown (0: no end). */
export async function followTap(
  client: Pick<ControlClient, 'tap' | 'status'>,
  filter: TapFilter,
  { count, signal }: { count: number; signal: AbortSignal },
  output: TapOutput,
): Promise<void> {
  let shown = 0;
  let filtered = 0;
  let dropped = 0;
  let bodiesDropped = 0;
  let said = '';
  const beganMs = performance.now();
  const explain = async () => {
    const text = explainSilence(filter, filtered, performance.now() - beganMs, await client.status());
    // The numbers in it grow; it is news only if the reason is another.
    const reason = text.replaceAll(/\d+/g, '');
    if (shown > 0 || signal.aborted || reason === said) return;
    said = reason;
    output.remark(text);
  };
  // A daemon that is lost meanwhile ends the tap itself, with the reason.
  const silence = setInterval(() => void explain().catch(() => undefined), SILENCE_MS);
  const drops = setInterval(() => {
    if (dropped > 0) output.remark(`${dropped} more requests matched and are not shown`);
    dropped = 0;
    if (bodiesDropped > 0)
      output.remark(`${bodiesDropped} bodies were not captured whole: too many were under way at once`);
    bodiesDropped = 0;
  }, DROPPED_INTERVAL_MS);
  try {
    for await (const batch of client.tap(filter, signal)) {
      filtered += batch.filtered;
      dropped += batch.dropped;
      bodiesDropped += batch.bodiesDropped ?? 0;
      const events = count > 0 ? batch.events.slice(0, count - shown) : batch.events;
      if (events.length > 0) output.show(events);
      shown += events.length;
      if (shown > 0) clearInterval(silence);
      if (count > 0 && shown >= count) break;
    }
  } finally {
    clearInterval(silence);
    clearInterval(drops);
  }
}
