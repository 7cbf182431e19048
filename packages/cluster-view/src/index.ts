export { copiesVerdict, type CopiesVerdict } from './copies.ts';
export { healthOf, type Health, type HealthLevel, type Problem } from './health.ts';
export { loadBetween, type Load } from './load-between.ts';
export * from './resources.ts';
export { sclLag } from './scl-lag.ts';
export {
  growth,
  histogramQuantile,
  meanBetween,
  parseMetrics,
  quantileBetween,
  total,
  type Metrics,
  type Sample,
} from './prometheus-text.ts';
export { ageOf, clockTime, formatAge, formatBytes, formatMs, plural, transactionsText } from './units.ts';
export { eventTime, viewOf, type ClusterView } from './view.ts';
