import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseFilter } from '../../src/tui/filter.ts';
import { type Effect, initialUi, press, type Scene, type UiState, VIEW_IDS } from '../../src/tui/ui-state.ts';

const scene = (fields: Partial<Scene> = {}): Scene => ({
  keys: ['a', 'b', 'c', 'd', 'e'],
  grows: false,
  page: 2,
  sorts: 3,
  service: { name: 'orders', stopped: false, owned: true },
  place: null,
  detailLines: 0,
  detailPage: 10,
  ...fields,
});

/** State and effects after these keys. */
function type(keys: string[], at: Scene = scene(), from: UiState = initialUi()): { state: UiState; effects: Effect[] } {
  const effects: Effect[] = [];
  let state = from;
  for (const key of keys) {
    const step = press(state, key, at);
    state = step.state;
    if (step.effect !== null) effects.push(step.effect);
  }
  return { state, effects };
}

const selectedAfter = (keys: string[], at?: Scene) => type(keys, at).state.lists.services.selected;

describe('movement', () => {
  it('goes by row, by page and to both ends, and no further', () => {
    expect(selectedAfter(['j', 'down'])).toBe('c');
    expect(selectedAfter(['j', 'j', 'k'])).toBe('b');
    expect(selectedAfter(['pagedown'])).toBe('c');
    expect(selectedAfter(['G', 'j'])).toBe('e');
    expect(selectedAfter(['G', 'pageup'])).toBe('c');
    expect(selectedAfter(['G', 'g', 'up'])).toBe('a');
  });

  it('follows the end of a list that grows until one leaves it', () => {
    const log = scene({ grows: true });
    expect(selectedAfter([], log)).toBeNull();
    expect(selectedAfter(['k'], log)).toBe('d');
    expect(selectedAfter(['k', 'j'], log)).toBeNull();
    expect(selectedAfter(['g', 'G'], log)).toBeNull();
    expect(selectedAfter(['g', 'escape'], log)).toBeNull();
    // It stays on its row while others come.
    const { state } = type(['k'], log);
    expect(
      type(['k'], scene({ grows: true, keys: ['c', 'd', 'e', 'f', 'g'] }), state).state.lists.services.selected,
    ).toBe('c');
  });

  it('does nothing without rows', () => {
    expect(selectedAfter(['j', 'G', 'enter'], scene({ keys: [], service: null }))).toBeNull();
    expect(type(['enter'], scene({ keys: [], service: null })).state.detail).toBeNull();
  });
});

describe('views', () => {
  it('have a key each, and Tab goes round', () => {
    expect(VIEW_IDS.map((_, index) => type([String(index + 1)]).state.view)).toEqual([...VIEW_IDS]);
    expect(type(['tab', 'tab', 'shift-tab']).state.view).toBe('requests');
    expect(type(['shift-tab']).state.view).toBe('config');
  });

  it('remember their own row, filter and order', () => {
    const { state } = type(['j', 's', '2', 's', '1']);
    expect(state.lists.services).toEqual({ selected: 'b', filter: '', sort: 1 });
    expect(state.lists.requests).toEqual({ selected: null, filter: '', sort: 1 });
    expect(type(['s', 's', 's']).state.lists.services.sort).toBe(0);
  });

  it('open a row in full, scroll in it and go back', () => {
    const long = scene({ detailLines: 25 });
    expect(type(['j', 'enter'], long).state.detail).toEqual({ key: 'b', scroll: 0 });
    expect(type(['enter', 'j', 'pagedown'], long).state.detail?.scroll).toBe(11);
    expect(type(['enter', 'G'], long).state.detail?.scroll).toBe(15);
    expect(type(['enter', 'G', 'g'], long).state.detail?.scroll).toBe(0);
    expect(type(['enter', 'escape'], long).state.detail).toBeNull();
    expect(type(['enter', '3'], long).state).toMatchObject({ view: 'routes', detail: null });
  });
});

describe('typing a filter', () => {
  it('takes every character as text, shows its effect at once, and can be taken back', () => {
    const { state, effects } = type(['/', 'q', '5', '?', 'p']);
    expect(state.lists.services.filter).toBe('q5?p');
    expect(effects).toEqual([]);
    expect(type(['/', 'x', 'enter', '/', 'y', 'escape']).state.lists.services.filter).toBe('x');
    expect(type(['/', 'a', '日', 'backspace', 'enter']).state.lists.services.filter).toBe('a');
    expect(type(['/', 'a', 'b', 'ctrl-u', 'c', 'enter']).state.lists.services.filter).toBe('c');
    expect(type(['/', 'a', 'enter', 'escape']).state.lists.services.filter).toBe('');
  });
});

describe('effects', () => {
  it('Ctrl-C is one everywhere, q where it is no text', () => {
    const interrupt = { kind: 'interrupt' };
    expect(type(['q']).effects).toEqual([interrupt]);
    for (const keys of [['/'], ['?'], ['enter'], ['x'], ['p']])
      expect(type([...keys, 'ctrl-c']).effects).toEqual([interrupt]);
    expect(type(['?', 'q'])).toMatchObject({ effects: [], state: { help: false } });
    expect(type(['enter', 'q']).effects).toEqual([interrupt]);
  });

  it('restart at once, start at once, stop after a question', () => {
    expect(type(['r']).effects).toEqual([{ kind: 'operate', action: 'restart', service: 'orders' }]);
    expect(type(['x']).effects).toEqual([]);
    expect(type(['x', 'y']).effects).toEqual([{ kind: 'operate', action: 'stop', service: 'orders' }]);
    expect(type(['x', 'n', 'y']).effects).toEqual([]);
    // The answer is no command.
    expect(type(['x', 'q'])).toMatchObject({ effects: [], state: { confirm: null } });
    const stopped = scene({ service: { name: 'orders', stopped: true, owned: true } });
    expect(type(['x'], stopped).effects).toEqual([{ kind: 'operate', action: 'start', service: 'orders' }]);
    expect(type(['r', 'x', 'y'], scene({ service: { name: 'legacy', stopped: false, owned: false } })).effects).toEqual(
      [],
    );
    expect(type(['2', 'r', 'x', 'y']).effects).toEqual([]);
  });

  it('logs of a service, and the editor at its place', () => {
    expect(type(['l']).state).toMatchObject({ view: 'logs', lists: { logs: { filter: 'service:orders' } } });
    expect(type(['e']).effects).toEqual([{ kind: 'edit', service: 'orders', place: null }]);
    expect(type(['3', 'e'], scene({ place: 'mesh.config.ts:9' })).effects).toEqual([
      { kind: 'edit', service: 'orders', place: 'mesh.config.ts:9' },
    ]);
    expect(type(['e'], scene({ service: null })).effects).toEqual([]);
    expect(type(['7', 'e'], scene({ service: null })).effects).toEqual([{ kind: 'edit', service: null, place: null }]);
  });
});

it('whatever is typed leaves a state that can be shown', () => {
  const keys = [
    'j',
    'k',
    'g',
    'G',
    'enter',
    'escape',
    '/',
    'a',
    'backspace',
    's',
    'p',
    '?',
    'x',
    'y',
    'l',
    'v',
    'tab',
    ...'1234567',
  ];
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...keys), { maxLength: 40 }),
      fc.nat(5),
      fc.boolean(),
      (typed, rows, grows) => {
        const at = scene({ keys: ['a', 'b', 'c', 'd', 'e'].slice(0, rows), grows, detailLines: 12 });
        const { state } = type(typed, at);
        expect(VIEW_IDS).toContain(state.view);
        expect(state.level).toBeLessThan(4);
        for (const list of Object.values(state.lists)) expect(list.sort).toBeLessThan(3);
        if (state.detail !== null) expect(state.detail.scroll).toBeLessThanOrEqual(2);
      },
    ),
  );
});

describe('the filter', () => {
  const row = { durationMs: 120, fields: { from: 'web', to: 'orders', status: '503', path: '/List', url: 'http://x' } };
  it.each([
    ['', true],
    ['web', true],
    ['LIST orders', true],
    ['web payments', false],
    ['!payments', true],
    ['!web', false],
    ['from:web', true],
    ['from:orders', false],
    ['to:ord', true],
    ['status:5xx', true],
    ['5xx', true],
    ['4xx', false],
    ['status:50', true],
    ['>100ms', true],
    ['>0.2s', false],
    ['<1s', true],
    ['http://x', true],
    ['nofield:web', false],
    ['!', true],
  ])('%j matches: %s', (text, matches) => {
    expect(parseFilter(text)(row)).toBe(matches);
  });
  it('never throws', () => {
    fc.assert(fc.property(fc.string(), (text) => typeof parseFilter(text)(row) === 'boolean'));
  });
});
