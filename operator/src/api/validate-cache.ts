import { CACHE_SIZE_MIN, CACHE_VOLUME_MIN, EPHEMERAL_STORAGE, SIZE_MAX, sizeBytes } from './quantity.ts';
import type { AuroraClusterSpec, Resources } from './types.ts';

/** What cannot be of the disk of compute pods: paths of fields, and what would be right. */
export function* cacheProblems({ compute, instanceOverrides }: AuroraClusterSpec): Generator<readonly [string, string]> {
  const { cacheSize, cacheVolume, resources } = compute;
  const field = 'spec.compute.cacheSize';
  if (cacheVolume !== undefined) {
    const problem = sizeProblem(cacheVolume.size, CACHE_VOLUME_MIN, "PostgreSQL's WAL and its cache");
    if (problem !== undefined) yield ['spec.compute.cacheVolume.size', problem];
  }
  if (cacheSize === undefined) return;
  const problem = sizeProblem(cacheSize, CACHE_SIZE_MIN, 'what PostgreSQL reads at once');
  if (problem !== undefined) yield [field, problem];
  const room = (of: string, size: unknown): string | undefined =>
    leavesRoom(cacheSize, size)
      ? undefined
      : `'${cacheSize}' leaves no room ${of} '${String(size)}' for WAL and temporary files; use about half of it`;
  if (cacheVolume !== undefined) {
    const tight = room('in spec.compute.cacheVolume.size', cacheVolume.size);
    if (tight !== undefined) yield [field, tight];
    return;
  }
  // A pod that takes more than its limit of ephemeral storage is evicted: what is not the cache needs room beside it.
  const limits: readonly (readonly [string, Resources | undefined])[] = [
    ['spec.compute', resources],
    ...instanceOverrides.map((override, index) => [`spec.instanceOverrides[${index}]`, override.resources] as const),
  ];
  for (const [of, { limits: most } = {}] of limits) {
    const tight = room(`below ${of}.resources.limits.${EPHEMERAL_STORAGE}`, most?.[EPHEMERAL_STORAGE]);
    if (tight !== undefined) yield [field, tight];
  }
}

function sizeProblem(size: string, least: string, holds: string): string | undefined {
  const bytes = sizeBytes(size);
  if (bytes === undefined) return `'${size}' is not a size; use for example 20Gi`;
  if (bytes < (sizeBytes(least) ?? 0)) return `'${size}' is too small for ${holds}; use at least ${least}`;
  if (bytes > (sizeBytes(SIZE_MAX) ?? 0)) return `'${size}' is larger than any volume; use at most ${SIZE_MAX}`;
  return undefined;
}

function leavesRoom(cacheSize: string, size: unknown): boolean {
  const [cache, all] = [sizeBytes(cacheSize), size === undefined ? undefined : sizeBytes(String(size))];
  return cache === undefined || all === undefined || cache < all;
}
