/**
 * What a compute must know of a volume to read its pages. A writer knows it from its write path; a compute that only
 * reads has no write path and knows it from what the segments say.
 */
export interface VolumeView {
  /** Everything up to here is durable. */
  readonly vdl: bigint;
  /** Highest SCL known of a group's segment, 0n while it cannot be spoken to. */
  scl(group: number, segment: number): bigint;
  /** This compute reads at or above it. Storage may have merged page versions below. */
  readonly readFloor: bigint;
}
