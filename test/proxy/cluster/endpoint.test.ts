import { describe, expect, it } from 'vitest';
import { classify, classifyResponse } from '../../../src/proxy/cluster/outcome.ts';
import { endpoint, endpointState } from '../../support/endpoints.ts';

describe('classification', () => {
  it.each([
    [200, -1, 'success'],
    [404, -1, 'success'],
    [500, -1, 'failure'],
    [503, 0, 'failure'],
    [200, 0, 'success'],
    [200, 1, 'success'],
    [200, 2, 'failure'],
    [200, 3, 'success'],
    [200, 4, 'failure'],
    [200, 5, 'success'],
    [200, 12, 'failure'],
    [200, 13, 'failure'],
    [200, 14, 'failure'],
    [200, 15, 'failure'],
    [200, 16, 'success'],
    [200, 17, 'failure'],
    [200, 34, 'failure'],
  ] as const)('status %d, grpc-status %d: %s', (status, grpcStatus, expected) => {
    expect(classifyResponse(status, grpcStatus)).toBe(expected);
  });

  it('counts no response as a failure', () => {
    expect(classify({ kind: 'reset' })).toBe('failure');
    expect(classify({ kind: 'response', status: 204, grpcStatus: null })).toBe('success');
  });
});

describe('EndpointState', () => {
  it('keeps count of tries', () => {
    const state = endpointState('a');
    for (let i = 0; i < 4; i++) state.started();
    expect(state.inFlight).toBe(4);
    state.ended({ kind: 'connect-failure' });
    state.ended({ kind: 'response', status: 502, grpcStatus: null });
    state.ended(null);
    expect(state).toMatchObject({ inFlight: 1, requests: 4, failures: 2, connectFailures: 1, consecutiveFailures: 2 });
    state.ended({ kind: 'response', status: 200, grpcStatus: null });
    expect(state).toMatchObject({ inFlight: 0, failures: 2, consecutiveFailures: 0 });
  });

  it('keeps its record over a reload and starts a new one at a new address', () => {
    const state = endpointState('a');
    state.started();
    state.started();
    state.ended({ kind: 'reset' });
    state.healthy = false;
    state.update(endpoint('a', { weight: 5 }));
    expect(state).toMatchObject({ inFlight: 1, failures: 1, healthy: false, spec: { weight: 5 } });
    state.update(endpoint('a', { port: 4001 }));
    // The old process still owes an answer.
    expect(state).toMatchObject({ inFlight: 1, failures: 0, requests: 0, healthy: true });
  });
});
