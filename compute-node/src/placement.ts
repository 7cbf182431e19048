import type { PageId } from '@kube-aurora/redo';
import type { SegmentId } from '@kube-aurora/rpc';
import type { RecordRun } from '@kube-aurora/volume';

/**
 * The protection group that every volume has: it holds what belongs to no page (transactions' ends, checkpoints, the
 * state that a compute starts from), and its segments are who is asked to open a volume.
 */
export const HOME_GROUP = 0;

export const homeSegment = (volumeId: string): SegmentId => ({ volumeId, pg: HOME_GROUP });

/** Which protection group holds what. Nothing else in a compute decides that. */
export interface Placement {
  readonly groups: readonly number[];
  groupOf(page: PageId): number;
  /** Gives each group the records that it must hold, in their order. Runs hold until the next one is routed. */
  route(run: RecordRun, append: (group: number, run: RecordRun) => void): void;
}

/** The whole volume in one group. */
export const SINGLE_GROUP: Placement = {
  groups: [HOME_GROUP],
  groupOf: () => HOME_GROUP,
  route: (run, append) => append(HOME_GROUP, run),
};
