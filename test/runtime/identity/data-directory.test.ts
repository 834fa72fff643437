import { describe, expect, it } from 'vitest';
import {
  currentEnvironment,
  dataDirectory,
  invokingUser,
  type UserEnvironment,
} from '../../../src/runtime/identity/data-directory.ts';

function at(env: NodeJS.ProcessEnv, changes: Partial<UserEnvironment> = {}): UserEnvironment {
  return { env, platform: 'linux', uid: 1000, home: '/home/ada', homeOf: () => undefined, ...changes };
}

const sudo = { SUDO_USER: 'ada', SUDO_UID: '1000', SUDO_GID: '1001' };
const asRoot = { uid: 0, home: '/root' };

describe('dataDirectory', () => {
  it.each([
    ['by default', at({}), '/home/ada/.local/share/mesh'],
    ['on macOS', at({}, { platform: 'darwin', home: '/Users/ada' }), '/Users/ada/.local/share/mesh'],
    ['with XDG_DATA_HOME', at({ XDG_DATA_HOME: '/data' }), '/data/mesh'],
    [
      'with a relative XDG_DATA_HOME, which does not count',
      at({ XDG_DATA_HOME: 'data' }),
      '/home/ada/.local/share/mesh',
    ],
    ['with an empty XDG_DATA_HOME', at({ XDG_DATA_HOME: '' }), '/home/ada/.local/share/mesh'],
    ['as root without sudo', at({}, asRoot), '/root/.local/share/mesh'],
    ['under sudo', at(sudo, asRoot), '/home/ada/.local/share/mesh'],
    ['under sudo on macOS', at(sudo, { ...asRoot, platform: 'darwin' }), '/Users/ada/.local/share/mesh'],
    [
      'under sudo, with a home elsewhere',
      at(sudo, { ...asRoot, homeOf: () => '/srv/ada' }),
      '/srv/ada/.local/share/mesh',
    ],
    ['under sudo -E', at({ ...sudo, XDG_DATA_HOME: '/data' }, asRoot), '/data/mesh'],
    [
      "under sudo with root's XDG_DATA_HOME",
      at({ ...sudo, XDG_DATA_HOME: '/root/x' }, asRoot),
      '/home/ada/.local/share/mesh',
    ],
    ['under sudo by root', at({ ...sudo, SUDO_USER: 'root', SUDO_UID: '0' }, asRoot), '/root/.local/share/mesh'],
    ['with left-over SUDO_ variables', at(sudo, { home: '/home/bob' }), '/home/bob/.local/share/mesh'],
    ['with half of the SUDO_ variables', at({ SUDO_USER: 'ada' }, asRoot), '/root/.local/share/mesh'],
    ['with SUDO_UID that is no number', at({ ...sudo, SUDO_UID: '1;2' }, asRoot), '/root/.local/share/mesh'],
  ])('%s', (_when, environment, expected) => {
    expect(dataDirectory(environment)).toBe(expected);
  });
});

describe('invokingUser', () => {
  it('is the caller of sudo, who is to own what is made', () => {
    expect(invokingUser(at(sudo, asRoot))).toEqual({ name: 'ada', home: '/home/ada', owner: { uid: 1000, gid: 1001 } });
  });

  it('is otherwise the user of the process', () => {
    expect(invokingUser(at({ USER: 'ada' }))).toEqual({ name: 'ada', home: '/home/ada', owner: undefined });
  });
});

describe('currentEnvironment', () => {
  it.runIf(process.platform === 'linux')('finds the home of another user in the database of users', () => {
    expect(currentEnvironment().homeOf('root', 0)).toBe('/root');
    expect(currentEnvironment().homeOf('nobody-at-all', 3_999_999_999)).toBeUndefined();
  });
});
