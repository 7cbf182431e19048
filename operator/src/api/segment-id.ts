import { Quorums, rolesOf, type SegmentRole, type VolumeCopies } from '@kube-aurora/volume';
import { SEGMENTS } from './types.ts';

/** One segment of a volume: which protection group it copies, and its place among that group's six. */
export interface SegmentId {
  readonly pg: number;
  readonly index: number;
}

/** The volume's protection groups. There is one, and this is the only place of the operator that says so. */
export const protectionGroups: readonly number[] = [0];

const members: ReadonlyMap<number, readonly SegmentId[]> = new Map(
  protectionGroups.map((pg) => [pg, Array.from({ length: SEGMENTS }, (_, index) => ({ pg, index }))]),
);

/** All segments of a volume, group by group. */
export const segmentIds: readonly SegmentId[] = [...members.values()].flat();

/** The other five of a segment's protection group. */
export function groupPeers(segment: SegmentId): readonly SegmentId[] {
  return (members.get(segment.pg) ?? []).filter(({ index }) => index !== segment.index);
}

/**
 * For each protection group, its segments of which something is true. A quorum is a matter of one group, never of the
 * volume.
 */
export function byGroup(is: (segment: SegmentId) => boolean): readonly (readonly SegmentId[])[] {
  return [...members.values()].map((segments) => segments.filter(is));
}

/** So many segments are of this kind in the group that has the fewest: a volume is as well off as that group. */
export function fewestInGroup(is: (segment: SegmentId) => boolean): number {
  return Math.min(...byGroup(is).map((segments) => segments.length));
}

/**
 * What a segment is to its volume: decided by its index when the volume is made. Segments stand in three zones in turn,
 * so that of mixed copies the first three are the full ones.
 */
export function roleOfSegment(copies: VolumeCopies, { index }: SegmentId): SegmentRole {
  return quorumsOf(copies).roles[index] ?? 'TAIL';
}

/** Which of a group's segments are enough, for what. */
export function quorumsOf(copies: VolumeCopies): Quorums {
  return QUORUMS[copies];
}

const ZONES_IN_TURN = Array.from({ length: SEGMENTS }, (_, index) => String(index % 3));
const QUORUMS: Readonly<Record<VolumeCopies, Quorums>> = {
  Full: new Quorums(rolesOf('Full', ZONES_IN_TURN)),
  Mixed: new Quorums(rolesOf('Mixed', ZONES_IN_TURN)),
};

/** Do the segments of which something is true make up a quorum, in every group? */
export function isQuorum(copies: VolumeCopies, quorum: 'write' | 'read' | 'promise', is: (segment: SegmentId) => boolean): boolean {
  const quorums = quorumsOf(copies);
  return byGroup(is).every((segments) => {
    const roles = segments.map((segment) => roleOfSegment(copies, segment));
    if (quorum === 'write') return quorums.isWrite(roles);
    return quorum === 'read' ? quorums.isRead(roles) : quorums.isPromise(roles);
  });
}

/** Counts through all groups: what names and labels carry. Group 0 has 0 to 5. */
export function segmentOrdinal({ pg, index }: SegmentId): number {
  return pg * SEGMENTS + index;
}

/** Something about each of some segments, by group and index. Never changed in place. */
export class SegmentMap<T> {
  readonly #entries: ReadonlyMap<number, readonly [SegmentId, T]>;

  constructor(entries: Iterable<readonly [SegmentId, T]> = []) {
    this.#entries = new Map([...entries].map((entry) => [segmentOrdinal(entry[0]), entry]));
  }

  get(segment: SegmentId): T | undefined {
    return this.#entries.get(segmentOrdinal(segment))?.[1];
  }

  has(segment: SegmentId): boolean {
    return this.#entries.has(segmentOrdinal(segment));
  }

  values(): readonly T[] {
    return [...this].map(([, value]) => value);
  }

  [Symbol.iterator](): Iterator<readonly [SegmentId, T]> {
    return this.#entries.values();
  }
}
