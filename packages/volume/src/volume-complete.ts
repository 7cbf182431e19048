/** How far one protection group is. */
export interface GroupProgress {
  /** A write quorum of its segments holds all of its redo up to here. */
  readonly pgcl: bigint;
  /** End of the redo that was sent to it. */
  readonly sentLsn: bigint;
}

/**
 * VCL: no group misses redo at or below it. A group that has everything it was sent misses nothing of the volume's; one
 * that has not may miss whatever follows its PGCL. With one group VCL is its PGCL.
 *
 * The answer is a lower bound that can fall when redo is sent to a group that had none for long: whoever keeps VCL
 * takes the highest. On the path of every commit: allocates nothing.
 *
 * @param sentLsn end of the redo that was sent to any group
 */
export function volumeCompleteLsn(groups: readonly GroupProgress[], sentLsn: bigint): bigint {
  let complete = sentLsn;
  for (const group of groups) if (group.pgcl < group.sentLsn && group.pgcl < complete) complete = group.pgcl;
  return complete;
}
