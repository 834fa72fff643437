/** What telemetry may have to leave out, with words for people: one of them, several. */
const DROPS = {
  taps: ['request for a tap', 'requests for taps'],
  access_log: ['line of an access log', 'lines of access logs'],
  spans: ['trace or span of a proxy', 'traces or spans of proxies'],
  trace_store: ['span that could not be stored', 'spans that could not be stored'],
  trace_export: ['span that could not be exported', 'spans that could not be exported'],
  metric_export: ['metric point that could not be exported', 'metric points that could not be exported'],
} as const;

export type TelemetryDrop = keyof typeof DROPS;

/** `12 traces or spans of proxies, 1 line of an access log`; empty where nothing was left out. */
export function describeDrops(dropped: Readonly<Record<string, number>>, only?: readonly TelemetryDrop[]): string {
  return Object.entries(DROPS)
    .filter(([what]) => (dropped[what] ?? 0) > 0 && (only === undefined || only.includes(what as TelemetryDrop)))
    .map(([what, [one, several]]) => `${dropped[what]} ${dropped[what] === 1 ? one : several}`)
    .join(', ');
}

/** Those that make traces incomplete. */
export const TRACE_DROPS: readonly TelemetryDrop[] = ['spans', 'trace_store', 'trace_export'];
