import type { InstanceView, SegmentView } from '../../answers/answers.ts';

export interface Zone {
  /** Undefined: where that is nobody knows. */
  readonly name: string | undefined;
  readonly segments: readonly SegmentView[];
  readonly instances: readonly InstanceView[];
  /** All that was in it is away. */
  readonly isLost: boolean;
}

/** What stands where, by name; what has no zone comes last. The writer is the first of its zone. */
export function zonesOf(segments: readonly SegmentView[], instances: readonly InstanceView[]): readonly Zone[] {
  const names = new Set([...segments, ...instances].map(({ zone }) => zone ?? undefined));
  return [...names]
    .toSorted((a, b) => (a === undefined ? 1 : b === undefined ? -1 : a.localeCompare(b)))
    .map((name) => {
      const own = segments.filter(({ zone }) => (zone ?? undefined) === name);
      const there = instances
        .filter(({ zone }) => (zone ?? undefined) === name)
        .toSorted(
          (a, b) => Number(b.role === 'writer') - Number(a.role === 'writer') || a.name.localeCompare(b.name, 'en', { numeric: true }),
        );
      const isLost =
        own.length > 0 &&
        own.every(({ ready, state }) => !ready && state === 'UNREACHABLE') &&
        there.every(({ state }) => state === 'Lost');
      return { name, segments: own, instances: there, isLost };
    });
}
