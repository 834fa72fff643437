import { describe, expect, it } from 'vitest';
import { grpcWebFormat, trailersFrame } from '../../src/proxy/grpc-web.ts';
import type { RequestHead } from '../../src/proxy/message.ts';

function post(contentType: string | null, accept?: string): RequestHead {
  const headers: string[] = [];
  if (contentType !== null) headers.push('content-type', contentType);
  if (accept !== undefined) headers.push('accept', accept);
  return {
    method: 'POST',
    scheme: 'http',
    authority: 'x',
    path: '/s/m',
    protocol: null,
    headers,
    contentLength: 5,
    expectContinue: false,
  };
}

describe('grpcWebFormat', () => {
  it.each([
    ['application/grpc-web', undefined, { textRequest: false, textResponse: false, suffix: '' }],
    ['application/grpc-web+proto', undefined, { textRequest: false, textResponse: false, suffix: '+proto' }],
    ['application/grpc-web-text', undefined, { textRequest: true, textResponse: true, suffix: '' }],
    ['application/grpc-web-text+proto', '*/*', { textRequest: true, textResponse: true, suffix: '+proto' }],
    [
      'application/grpc-web+json; charset=utf-8',
      '*/*',
      { textRequest: false, textResponse: false, suffix: '+json; charset=utf-8' },
    ],
    ['application/grpc-web', 'application/grpc-web-text', { textRequest: false, textResponse: true, suffix: '' }],
    ['application/grpc-web-text', 'application/grpc-web', { textRequest: true, textResponse: false, suffix: '' }],
    ['application/grpc', undefined, null],
    ['application/grpc+proto', undefined, null],
    ['application/grpc-webby', undefined, null],
    ['application/grpc-web-texture', undefined, null],
    ['application/json', 'application/grpc-web', null],
    [null, undefined, null],
  ])('%s, accepting %s', (contentType, accept, format) => {
    expect(grpcWebFormat(post(contentType, accept))).toEqual(format);
  });

  it('is about POST alone', () => {
    expect(grpcWebFormat({ ...post('application/grpc-web'), method: 'OPTIONS' })).toBeNull();
  });
});

describe('trailersFrame', () => {
  it('holds the fields as text behind a head of five bytes', () => {
    expect(trailersFrame(['grpc-status', '0', 'x-bin', 'AQI=']).toString('latin1')).toBe(
      '\x80\x00\x00\x00\x1bgrpc-status:0\r\nx-bin:AQI=\r\n',
    );
    expect(trailersFrame([]).toString('hex')).toBe('8000000000');
  });
});
