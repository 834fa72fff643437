import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

export interface Payload {
  body: Buffer;
}

export interface EchoStatus {
  code: number;
  message: string;
}

export interface SimpleRequest {
  response_size?: number;
  payload?: Payload;
  response_compressed?: { value: boolean };
  response_status?: EchoStatus;
  expect_compressed?: { value: boolean };
}

export interface SimpleResponse {
  payload: Payload | null;
}

export interface InputRequest {
  payload: Payload;
  expect_compressed?: { value: boolean };
}

export interface InputResponse {
  aggregated_payload_size: number;
}

export interface OutputRequest {
  response_parameters?: { size: number; interval_us?: number; compressed?: { value: boolean } }[];
  payload?: Payload;
  response_status?: EchoStatus;
}

export interface OutputResponse {
  payload: Payload;
}

export type Empty = Record<string, never>;

/** Metadata that servers send back, the second one in the trailers. */
export const ECHO_INITIAL = 'x-grpc-test-echo-initial';
export const ECHO_TRAILING = 'x-grpc-test-echo-trailing-bin';

interface Services {
  TestService: { service: grpc.ServiceDefinition };
  UnimplementedService: { service: grpc.ServiceDefinition };
}

const definition = loadSync(fileURLToPath(new URL('test.proto', import.meta.url)), { keepCase: true, arrays: true });
const services = (grpc.loadPackageDefinition(definition).grpc as grpc.GrpcObject).testing as unknown as Services;

export const testService = services.TestService.service;
export const unimplementedService = services.UnimplementedService.service;

export function method(name: string): grpc.MethodDefinition<unknown, unknown> {
  return testService[name];
}
