import type { KeyValue, Resource, Scope } from './otlp.ts';

/** Metrics in OTLP's JSON form, as far as mesh makes them; see otlp.ts. */

/** `AggregationTemporality` of OTLP: since the start, not since the last time. */
export const CUMULATIVE = 2;

export interface NumberDataPoint {
  attributes?: KeyValue[];
  startTimeUnixNano?: string;
  timeUnixNano: string;
  asDouble: number;
}

export interface HistogramDataPoint {
  attributes?: KeyValue[];
  startTimeUnixNano?: string;
  timeUnixNano: string;
  count: string;
  sum: number;
  /** One more than there are bounds. */
  bucketCounts: string[];
  /** Upper bounds, included. */
  explicitBounds: number[];
}

export interface Metric {
  name: string;
  description?: string;
  unit?: string;
  sum?: { dataPoints: NumberDataPoint[]; aggregationTemporality: number; isMonotonic: boolean };
  gauge?: { dataPoints: NumberDataPoint[] };
  histogram?: { dataPoints: HistogramDataPoint[]; aggregationTemporality: number };
}

export interface ScopeMetrics {
  scope?: Scope;
  metrics: Metric[];
}

export interface ResourceMetrics {
  resource?: Resource;
  scopeMetrics: ScopeMetrics[];
}

export const pointsOf = ({ sum, gauge, histogram }: Metric): readonly (NumberDataPoint | HistogramDataPoint)[] =>
  (sum ?? gauge ?? histogram)?.dataPoints ?? [];
