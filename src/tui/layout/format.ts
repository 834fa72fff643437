/** Figures for people, in few columns: two or three significant digits and a unit. */

/** `0.4`, `12.3`, `1.2k`; `-` for nothing at all. */
export function rate(perSecond: number): string {
  if (perSecond <= 0) return '-';
  if (perSecond < 0.1) return '<0.1';
  if (perSecond < 100) return perSecond.toFixed(1);
  return count(perSecond);
}

/** `12`, `1.2k`, `34k`, `5.6M` */
export function count(value: number): string {
  if (value < 1_000) return String(Math.round(value));
  if (value < 9_950) return `${(value / 1_000).toFixed(1)}k`;
  if (value < 999_500) return `${Math.round(value / 1_000)}k`;
  return `${(value / 1_000_000).toFixed(1)}M`;
}

/** Of a share from 0 to 1: `100 %`, `99.8 %`; never rounded up to 100 nor down to 0. */
export function percent(share: number): string {
  const value = share * 100;
  if (value >= 100) return '100 %';
  if (value > 99.9) return '>99.9 %';
  if (value <= 0) return '0 %';
  if (value < 0.1) return '<0.1 %';
  return value >= 10 && Math.abs(value - Math.round(value)) < 0.05 ? `${Math.round(value)} %` : `${value.toFixed(1)} %`;
}

/** `0.4ms`, `12ms`, `1.3s`, `2m05s`, `3h10m`, `4d2h` */
export function duration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)}ms`;
  if (ms < 999.5) return `${Math.round(ms)}ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, '0')}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, '0')}m`;
  return `${Math.floor(minutes / 1_440)}d${Math.floor((minutes % 1_440) / 60)}h`;
}

/** `512B`, `1.4Ki`, `34Mi` */
export function bytes(value: number): string {
  if (value < 1_024) return `${Math.round(value)}B`;
  let rest = value / 1_024;
  for (const unit of ['Ki', 'Mi', 'Gi']) {
    if (rest < 999.5) return `${rest < 9.95 ? rest.toFixed(1) : Math.round(rest)}${unit}`;
    rest /= 1_024;
  }
  return `${rest.toFixed(1)}Ti`;
}

/** Local time of day with milliseconds: `14:03:07.120`. */
export function clockTime(rfc3339: string): string {
  const time = new Date(rfc3339);
  if (Number.isNaN(time.getTime())) return '--:--:--.---';
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return `${day}.${String(time.getMilliseconds()).padStart(3, '0')}`;
}
