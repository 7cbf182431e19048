/** Kubernetes' resource quantities (`10Gi`, `500m`, `1e3`) as numbers: exact for all that a manifest sensibly says. */
const FACTOR: Readonly<Record<string, number>> = {
  '': 1,
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/**
 * Bounds of one copy's claim: a redo log and a database need the least, and no provider has volumes beyond the most.
 */
export const SIZE_MIN = '256Mi';
export const SIZE_MAX = '64Ti';
/** Of a compute's cache; its agent takes no less. */
export const CACHE_SIZE_MIN = '64Mi';

/** Of the volume that holds it, and PostgreSQL's WAL beside it. */
export const CACHE_VOLUME_MIN = '2Gi';

/** A size in a manifest: a number that is not 0, and a unit. */
export const SIZE_PATTERN = '^[0-9]*[1-9][0-9]*(\\.[0-9]+)?(Mi|Gi|Ti|M|G|T)$';

/** The resource that a pod's own disk is. */
export const EPHEMERAL_STORAGE = 'ephemeral-storage';

/** The quantity's value, or undefined when the text is none. */
export function quantityValue(text: string): number | undefined {
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|([KMGTPE]i|[numkMGTPE]))?$/.exec(text);
  if (match?.[1] === undefined) return undefined;
  const factor = match[2] === undefined ? FACTOR[match[3] ?? ''] : 10 ** Number(match[2]);
  return factor === undefined ? undefined : Number(match[1]) * factor;
}

/** Bytes, or undefined when the text is not a size. */
export function sizeBytes(text: string): number | undefined {
  const value = quantityValue(text);
  return value === undefined || value < 0 ? undefined : value;
}

/** The larger of two sizes in its own notation: a PVC can grow and never shrink. */
export function largerSize(a: string, b: string): string {
  return (sizeBytes(a) ?? 0) >= (sizeBytes(b) ?? 0) ? a : b;
}

/** A daemon does not start with less memory, and one that the kernel ends again and again is worse than none. */
export const DAEMON_MEMORY_LIMIT_MIN = '256Mi';
