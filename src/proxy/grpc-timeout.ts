// Values of the `grpc-timeout` header (gRPC over HTTP/2, "Timeout").

/** A value has at most eight digits. */
const MOST = 99_999_999;

/** Milliseconds, possibly a fraction of one; null where the value is malformed, which means no timeout. */
export function parseGrpcTimeout(value: string): number | null {
  const digits = value.length - 1;
  if (digits < 1 || digits > 8) return null;
  let n = 0;
  for (let i = 0; i < digits; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return null;
    n = n * 10 + digit;
  }
  switch (value.charCodeAt(digits)) {
    case 0x48:
      return n * 3_600_000;
    case 0x4d:
      return n * 60_000;
    case 0x53:
      return n * 1000;
    case 0x6d:
      return n;
    case 0x75:
      return n / 1000;
    case 0x6e:
      return n / 1_000_000;
    default:
      return null;
  }
}

/** The value for a time in milliseconds, in the finest unit from milliseconds up that can hold it, rounded up. */
export function formatGrpcTimeout(ms: number): string {
  const milliseconds = Math.max(0, Math.ceil(ms));
  if (milliseconds <= MOST) return `${milliseconds}m`;
  const seconds = Math.ceil(ms / 1000);
  if (seconds <= MOST) return `${seconds}S`;
  const minutes = Math.ceil(ms / 60_000);
  if (minutes <= MOST) return `${minutes}M`;
  return `${Math.min(MOST, Math.ceil(ms / 3_600_000))}H`;
}
