import { formatAge, formatBytes, formatMs } from '@kube-aurora/cluster-view/units';

/** What stands where nobody knows. */
export const UNKNOWN = '–';

/** A number for people: three digits that count. */
export function count(value: number | null): string {
  if (value === null) return UNKNOWN;
  if (value >= 1e6) return `${(value / 1e6).toFixed(value < 1e7 ? 1 : 0)} M`;
  if (value >= 10_000) return `${(value / 1000).toFixed(value < 1e5 ? 1 : 0)} k`;
  if (value >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value.toFixed(value < 10 ? 2 : 1);
}

export const bytes = (value: number | null): string => (value === null ? UNKNOWN : formatBytes(value));
export const bytesPerSecond = (value: number | null): string => (value === null ? UNKNOWN : `${formatBytes(value)}/s`);
export const perSecond = (value: number | null): string => (value === null ? UNKNOWN : `${count(value)}/s`);

/** A duration; below ten milliseconds with the tenths that a commit has. */
export function duration(ms: number | null): string {
  if (ms === null) return UNKNOWN;
  if (ms > 0 && ms < 0.1) return '< 0.1 ms';
  return formatMs(ms < 10 ? Math.round(ms * 10) / 10 : Math.round(ms));
}

/** How long ago. */
export function age(at: string | number | null, now: number): string {
  const ms = typeof at === 'string' ? Date.parse(at) : (at ?? NaN);
  return Number.isNaN(ms) ? UNKNOWN : formatAge(Math.max(0, now - ms));
}

/** A moment of today or before, in UTC as programs' logs have it. */
export function moment(at: string | number, now: number): string {
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return UNKNOWN;
  const iso = time.toISOString();
  return iso.slice(0, 10) === new Date(now).toISOString().slice(0, 10) ? iso.slice(11, 19) : `${iso.slice(0, 10)} ${iso.slice(11, 16)}`;
}

export function clock(at: number): string {
  return new Date(at).toISOString().slice(11, 16);
}

/** A copy's name without its cluster's: storage-3 of demo-storage-3. */
export function shortName(name: string, cluster: string): string {
  return name.startsWith(`${cluster}-storage-`) ? name.slice(cluster.length + 1) : name;
}

/** What a failover's or a switchover's parts are. */
export const PART_WORDS: Readonly<Record<string, string>> = {
  detected: 'found lost',
  drained: 'transactions ended',
  opened: 'volume opened',
  fed: 'redo caught up',
  promoted: 'took writes',
  ready: 'answered',
};

export const REASON_WORDS: Readonly<Record<string, string>> = {
  Silent: 'storage heard it no more',
  PostgresDied: 'its PostgreSQL died',
  Annotation: 'asked for by a person',
  Update: 'its pod was to be replaced',
};
