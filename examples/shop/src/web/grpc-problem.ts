import { type ServiceError, status } from '@grpc/grpc-js';
import { problem, type Reply } from '../common/http-server.ts';

const httpStatus: Partial<Record<status, [number, string]>> = {
  [status.INVALID_ARGUMENT]: [400, 'Invalid input'],
  [status.NOT_FOUND]: [404, 'Not found'],
  [status.ALREADY_EXISTS]: [409, 'Already exists'],
  [status.FAILED_PRECONDITION]: [409, 'Not possible now'],
  [status.RESOURCE_EXHAUSTED]: [429, 'Too many requests'],
  [status.UNAVAILABLE]: [503, 'Not available'],
  [status.DEADLINE_EXCEEDED]: [504, 'Took too long'],
};

/** An error of the orders service as an HTTP answer. What is not in the table says nothing about its inside. */
export function grpcProblem(error: ServiceError): Reply {
  const known = httpStatus[error.code];
  return known ? problem(known[0], known[1], error.details) : problem(502, 'Bad gateway', 'Orders cannot answer.');
}
