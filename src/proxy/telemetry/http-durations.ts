/**
 * Durations by method and status, for OpenTelemetry's `http.server.request.duration` and `http.client.request.duration`,
 * and of gRPC calls by status, for `rpc.server.call.duration` and `rpc.client.call.duration`: those attributes are what
 * the conventions ask for, and they are known only here, where the request ends. The methods of gRPC are not told apart:
 * they are whatever clients send.
 */

/** Upper bounds, in seconds, that the semantic conventions advise. */
export const DURATION_BOUNDS_S: readonly number[] = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
];
const BOUNDS_MS = DURATION_BOUNDS_S.map((seconds) => seconds * 1_000);
/** Counts by bucket, the last one without a bound; behind them the sum in milliseconds. */
export const DURATION_NUMBERS = BOUNDS_MS.length + 2;
export const DURATION_SUM = DURATION_NUMBERS - 1;

/** Methods that are told apart (RFC 9110 and PATCH); the others are one, with the conventions' name for it. */
export const COUNTED_METHODS = [
  ...['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'TRACE'],
  '_OTHER',
] as const;
const METHOD_NUMBERS: ReadonlyMap<string, number> = new Map(COUNTED_METHODS.map((name, i) => [name, i]));
const OTHER_METHOD = COUNTED_METHODS.length - 1;
/** Stands for the method of a gRPC call. */
export const GRPC_CALL = 'grpc';
const GRPC_NUMBER = COUNTED_METHODS.length;
const NAMES: readonly string[] = [...COUNTED_METHODS, GRPC_CALL];

/** An application may invent statuses; pairs beyond this share one place. */
const MOST_KEYS = 100;
/** The place of what has none of its own. */
export const OVERFLOW_KEY = -1;

/** Numbers by key: method, status and whether the exchange broke off, as one integer. */
export type HttpDurations = Map<number, Float64Array>;

export interface DurationKey {
  /** Or `GRPC_CALL`. */
  method: string;
  /** Of HTTP; 0: there was no response. Of gRPC for a gRPC call. */
  status: number;
  broken: boolean;
}

/**
 * @param durations of one slot; changed in place
 * @param method of HTTP, or `GRPC_CALL`
 * @param status of HTTP, 0 where there was no response; of gRPC for a gRPC call
 */
export function countDuration(
  durations: HttpDurations,
  method: string,
  status: number,
  broken: boolean,
  durationMs: number,
): void {
  const number = method === GRPC_CALL ? GRPC_NUMBER : (METHOD_NUMBERS.get(method) ?? OTHER_METHOD);
  let key = (number * 1_000 + (status > 999 ? 999 : status)) * 2 + (broken ? 1 : 0);
  let numbers = durations.get(key);
  if (numbers === undefined) {
    if (durations.size >= MOST_KEYS) key = OVERFLOW_KEY;
    numbers = durations.get(key);
    if (numbers === undefined) durations.set(key, (numbers = new Float64Array(DURATION_NUMBERS)));
  }
  // A clock that was set back.
  const ms = durationMs > 0 ? durationMs : 0;
  let bucket = 0;
  while (bucket < BOUNDS_MS.length && ms > BOUNDS_MS[bucket]) bucket++;
  numbers[bucket]++;
  numbers[DURATION_SUM] += ms;
}

/** Null: the place of what has none of its own. */
export function durationKey(key: number): DurationKey | null {
  if (key < 0) return null;
  const pair = key >> 1;
  return {
    method: NAMES[Math.floor(pair / 1_000)] ?? '_OTHER',
    status: pair % 1_000,
    broken: (key & 1) === 1,
  };
}
