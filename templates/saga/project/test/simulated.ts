import type { Saga, Step } from '../src/saga/definition.ts';
import { Refused } from '../src/saga/definition.ts';
import {
  type Begun,
  compensate,
  type Journal,
  type Rest,
  runSaga,
  type State,
  type Surroundings,
} from '../src/saga/run.ts';

/** What a step's participant does with the calls it gets. */
export type Behaviour =
  | 'well'
  | 'refuses'
  /** Has the effect, but the answer is lost: for the first two calls. */
  | 'answer lost'
  /** Never answers; the effect comes when everything else is over. */
  | 'late'
  | 'undo fails twice'
  | 'undo fails'
  | 'undo refused twice';

class Crash extends Error {}

export interface Outcome {
  readonly state: State;
  /** Steps whose effect is there at the end. */
  readonly effects: readonly string[];
  /** Effects and their undoing, as they happened. */
  readonly log: readonly string[];
  readonly crashes: number;
  readonly moves: readonly State[];
  readonly calls: number;
}

/**
 * Runs a saga with a journal, participants and a clock in memory. The process crashes at the given moments, counted from its
 * start: before and after each effect, each note and each entry of the journal.
 */
export async function simulate(
  behaviours: readonly Behaviour[],
  { crashes = [], resumes = 0, skip = false }: { crashes?: readonly number[]; resumes?: number; skip?: boolean } = {},
): Promise<Outcome> {
  const kept = new Map<string, unknown>();
  const notes: { step: string; direction: string; parked: number; at: number; outcome: string | null }[] = [];
  const effects = new Map<string, 'done' | 'undone'>();
  const log: string[] = [];
  const moves: State[] = [];
  const arriveLater: (() => void)[] = [];
  const calls = new Map<string, number>();
  let clock = 0;
  let rest: Rest | null = null;
  let moments = 0;
  let dead = false;
  let crashed = 0;
  let plan = [...crashes];
  let skipWanted = false;

  const moment = (): void => {
    if (dead) throw new Crash();
    if (moments++ !== plan[0]) return;
    plan = plan.slice(1);
    dead = true;
    crashed++;
    throw new Crash();
  };
  const act = (name: string): void => {
    if (effects.get(name) === 'undone') throw new Refused('undone before');
    if (effects.get(name) === 'done') return;
    effects.set(name, 'done');
    log.push(name);
  };
  const undo = (name: string): void => {
    if (effects.get(name) === 'done') log.push(`undo ${name}`);
    effects.set(name, 'undone');
  };
  const times = (what: string): number => {
    calls.set(what, (calls.get(what) ?? 0) + 1);
    return calls.get(what)!;
  };

  const steps = behaviours.map((behaviour, index): Step<null> => {
    const name = `s${index}`;
    return {
      name,
      async action() {
        moment();
        const count = times(name);
        if (behaviour === 'refuses') throw new Refused('no');
        if (behaviour === 'late') {
          arriveLater.push(() => {
            try {
              act(name);
            } catch {}
          });
          throw new Error('no answer');
        }
        act(name);
        moment();
        if (behaviour === 'answer lost' && count <= 2) throw new Error('connection lost');
      },
      async compensation() {
        moment();
        const count = times(`undo ${name}`);
        const parkings = moves.filter((each) => each === 'parked').length;
        if (behaviour === 'undo refused twice' && parkings < 2) throw new Refused('cannot');
        if (behaviour === 'undo fails' || (behaviour === 'undo fails twice' && count <= 2)) throw new Error('away');
        undo(name);
        moment();
      },
    };
  });
  const saga: Saga<null> = { kind: 'simulated', version: 1, steps };

  const surroundings = (run: number): Surroundings => {
    const journal: Journal = {
      async once<T>(title: string, work: () => Promise<T>): Promise<T> {
        const entry = `${run} ${title}`;
        if (kept.has(entry)) return kept.get(entry) as T;
        moment();
        const value = await work();
        moment();
        kept.set(entry, value);
        moment();
        return value;
      },
      async pause(ms) {
        clock += ms;
        moment();
      },
      async later(next) {
        moment();
        rest = next;
        moment();
      },
    };
    return {
      id: 'saga',
      journal,
      random: () => 0.5,
      chronicle: {
        async move(state) {
          if (moves.at(-1) !== state) moves.push(state);
        },
        async begin({ step, direction, parked, deadlineMs }): Promise<Begun | null> {
          moment();
          const same = notes.filter((note) => note.step === step && note.direction === direction);
          const first = same.find((note) => note.parked === parked)?.at ?? clock;
          if (clock - first >= deadlineMs) return null;
          const doubtful = same.some(({ outcome }) => outcome !== 'refused');
          const number = notes.push({ step, direction, parked, at: clock, outcome: null }) - 1;
          return { number: String(number), remainingMs: first + deadlineMs - clock, doubtful };
        },
        async end({ number }, outcome) {
          moment();
          notes[Number(number)].outcome = outcome;
        },
        skipped: async () => skipWanted,
      },
    };
  };

  let state: State = 'accepted';
  for (let run = 0; ; ) {
    try {
      const around = surroundings(run);
      state = run === 0 ? await runSaga(saga, null, around) : await compensate(saga, null, rest!, around);
      if (state !== 'parked' || run >= resumes) break;
      skipWanted = skip;
      run++;
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      dead = false;
      moments = 0;
    }
  }
  for (const arrive of arriveLater) arrive();
  return {
    state,
    effects: [...effects].filter(([, effect]) => effect === 'done').map(([name]) => name),
    log,
    crashes: crashed,
    moves,
    calls: notes.length,
  };
}
