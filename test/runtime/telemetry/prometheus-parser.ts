export interface ParsedSample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface ParsedMetric {
  type: string;
  help: string;
  samples: ParsedSample[];
}

const SUFFIXES: Record<string, readonly string[]> = {
  histogram: ['_bucket', '_sum', '_count'],
  counter: [''],
  gauge: [''],
};

/** Parses Prometheus' text format 0.0.4, and throws at what promtool would refuse. */
export function parseMetrics(text: string): Map<string, ParsedMetric> {
  if (!text.endsWith('\n')) throw new Error('the last line has no line feed');
  const metrics = new Map<string, ParsedMetric>();
  const seen = new Set<string>();
  let current = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ((?:[^\\]|\\\\|\\n)*)$/.exec(line);
    const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)$/.exec(line);
    if (help !== null) {
      if (metrics.has(help[1])) throw new Error(`twice: ${help[1]}`);
      metrics.set(help[1], { type: '', help: help[2], samples: [] });
      current = help[1];
    } else if (type !== null) {
      if (type[1] !== current) throw new Error(`TYPE without its HELP: ${line}`);
      metrics.get(current)!.type = type[2];
    } else {
      const sample = parseSample(line);
      const metric = metrics.get(current)!;
      if (!SUFFIXES[metric.type].some((suffix) => sample.name === current + suffix))
        throw new Error(`not of ${current}: ${line}`);
      const identity = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`;
      if (seen.has(identity)) throw new Error(`the same sample again: ${line}`);
      seen.add(identity);
      metric.samples.push(sample);
    }
  }
  for (const [name, metric] of metrics) if (metric.type === 'histogram') checkHistogram(name, metric);
  return metrics;
}

function parseSample(line: string): ParsedSample {
  const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([+-]?Inf|NaN|[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/.exec(line);
  if (match === null) throw new Error(`no sample: ${line}`);
  const labels: Record<string, string> = {};
  let rest = match[2] ?? '';
  while (rest !== '') {
    const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)/.exec(rest);
    if (label === null) throw new Error(`no label: ${rest}`);
    if (label[1] in labels) throw new Error(`label twice: ${line}`);
    labels[label[1]] = label[2].replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
    rest = rest.slice(label[0].length);
    if (rest === '' && label[3] === ',') throw new Error(`a comma at the end: ${line}`);
  }
  const value = match[3].endsWith('Inf') ? Number.POSITIVE_INFINITY : Number(match[3]);
  return { name: match[1], labels, value };
}

/** Buckets grow, end with +Inf, and that is the count. */
function checkHistogram(name: string, { samples }: ParsedMetric): void {
  const groups = new Map<string, { buckets: [number, number][]; count: number }>();
  for (const { name: sample, labels, value } of samples) {
    const { le, ...others } = labels;
    const key = JSON.stringify(others);
    const group = groups.get(key) ?? { buckets: [], count: -1 };
    groups.set(key, group);
    if (sample === `${name}_bucket`) group.buckets.push([le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le), value]);
    if (sample === `${name}_count`) group.count = value;
  }
  for (const { buckets, count } of groups.values()) {
    for (let i = 1; i < buckets.length; i++) {
      if (buckets[i][0] <= buckets[i - 1][0] || buckets[i][1] < buckets[i - 1][1])
        throw new Error(`${name}: buckets do not grow`);
    }
    const last = buckets.at(-1);
    if (last?.[0] !== Number.POSITIVE_INFINITY || last[1] !== count) throw new Error(`${name}: +Inf is not the count`);
  }
}
