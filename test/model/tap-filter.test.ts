import { describe, expect, it } from 'vitest';
import { ANY_REQUEST } from '../../src/model/events.ts';
import { checkTapFilter, parseHeaderFilter, statusRange } from '../../src/model/tap-filter.ts';

describe('a filter of a tap', () => {
  it('takes classes of status and single ones', () => {
    expect(statusRange('5xx')).toEqual([500, 599]);
    expect(statusRange('4XX')).toEqual([400, 499]);
    expect(statusRange('404')).toEqual([404, 404]);
    for (const wrong of ['', '6xx', '0xx', '50', '5000', '5x', 'xx', '4xx ', '-40', '99'])
      expect(statusRange(wrong)).toBeNull();
  });

  it('takes a header with or without its value', () => {
    expect(parseHeaderFilter('X-User=a=b')).toEqual(['x-user', 'a=b']);
    expect(parseHeaderFilter('X-User')).toEqual(['x-user', '']);
  });

  it('is refused with what is allowed', () => {
    expect(
      checkTapFilter({ ...ANY_REQUEST, status: '5xx', path: '/a', method: 'get', headers: [['x-a', '']] }).ok,
    ).toBe(true);
    expect(checkTapFilter({ ...ANY_REQUEST, showHeaders: ['*'] }).ok).toBe(true);
    const hintOf = (part: object) => {
      const result = checkTapFilter({ ...ANY_REQUEST, ...part });
      return result.ok ? null : `${result.problems[0].code} ${result.problems[0].hint}`;
    };
    expect(hintOf({ status: '6xx' })).toContain('5xx');
    expect(hintOf({ protocol: 'gprc' })).toContain("did you mean 'grpc'?");
    expect(hintOf({ path: 'api' })).toContain('`/api`');
    expect(hintOf({ method: 'GE T' })).toContain('GET');
    expect(hintOf({ headers: [['bad name', '']] })).toContain('MESH-U102');
    expect(hintOf({ showHeaders: ['a:'] })).toContain('MESH-U102');
    expect(hintOf({ maxPerSecond: -1 })).toContain('0 is no limit');
  });
});
