import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeGrpcMessage,
  encodeGrpcMessage,
  grpcReplyHeaders,
  httpToGrpcStatus,
  isGrpcContentType,
} from '../../src/proxy/grpc-status.ts';
import { formatGrpcTimeout, parseGrpcTimeout } from '../../src/proxy/grpc-timeout.ts';

describe('grpc-timeout', () => {
  it.each([
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['3S', 3000],
    ['100m', 100],
    ['1500u', 1.5],
    ['2000000n', 2],
    ['0m', 0],
    ['99999999m', 99_999_999],
    ['100000000m', null],
    ['1', null],
    ['m', null],
    ['', null],
    ['-1m', null],
    ['1.5S', null],
    [' 1m', null],
    ['1s', null],
    ['1m ', null],
  ])('%s is %s ms', (value, ms) => {
    expect(parseGrpcTimeout(value)).toBe(ms);
  });

  it.each([
    [0, '0m'],
    [-5, '0m'],
    [0.2, '1m'],
    [1500, '1500m'],
    [99_999_999, '99999999m'],
    [100_000_000, '100000S'],
    [1e12, '16666667M'],
    [Number.MAX_VALUE, '99999999H'],
  ])('%d ms is %s', (ms, value) => {
    expect(formatGrpcTimeout(ms)).toBe(value);
  });

  it('never says less than was meant, and hardly more', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 48 }), (ms) => {
        const back = parseGrpcTimeout(formatGrpcTimeout(ms))!;
        expect(back).toBeGreaterThanOrEqual(ms);
        expect(back).toBeLessThanOrEqual(ms * 1.001);
      }),
    );
  });
});

describe('grpc-status', () => {
  it.each([
    [400, 13],
    [401, 16],
    [403, 7],
    [404, 12],
    [429, 14],
    [502, 14],
    [503, 14],
    [504, 14],
    [500, 2],
    [418, 2],
    [301, 2],
  ])('HTTP %d is %d', (http, grpc) => {
    expect(httpToGrpcStatus(http)).toBe(grpc);
  });

  it.each([
    ['application/grpc', true],
    ['application/grpc+proto', true],
    ['application/grpc;charset=utf-8', true],
    ['application/grpc-web', false],
    ['application/grpc-web+proto', false],
    ['application/json', false],
    [undefined, false],
  ])('%s: %s', (contentType, expected) => {
    expect(isGrpcContentType(contentType)).toBe(expected);
  });
});

describe('grpc-message', () => {
  it('escapes what a header cannot hold', () => {
    expect(encodeGrpcMessage('2 of 2 starting; see `mesh logs`')).toBe('2 of 2 starting; see `mesh logs`');
    expect(encodeGrpcMessage('100%\n')).toBe('100%25%0A');
    expect(encodeGrpcMessage('größe')).toBe('gr%C3%B6%C3%9Fe');
  });

  it('comes back as it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (message) => {
        const encoded = encodeGrpcMessage(message);
        expect(encoded).toMatch(/^[\x20-\x7e]*$/);
        expect(decodeGrpcMessage(encoded)).toBe(message);
      }),
    );
  });

  it('lets broken escapes stand', () => {
    expect(decodeGrpcMessage('50% of %zz %4')).toBe('50% of %zz %4');
  });

  it('makes a response of trailers only', () => {
    expect(grpcReplyHeaders(14, 'no endpoint')).toEqual([
      'content-type',
      'application/grpc',
      'grpc-status',
      '14',
      'grpc-message',
      'no endpoint',
    ]);
    expect(grpcReplyHeaders(4, '', 'application/grpc+json')).toEqual([
      'content-type',
      'application/grpc+json',
      'grpc-status',
      '4',
    ]);
  });
});
