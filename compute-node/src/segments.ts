import type { Clock } from '@kube-aurora/clock';
import { SegmentClient, type Credentials, type Endpoint, type SegmentApi, type SegmentId } from '@kube-aurora/rpc';
import { Quorums, type SegmentRole } from '@kube-aurora/volume';

/** One storage daemon that holds a copy of the volume. */
export interface SegmentEndpoint {
  /** 0..5: its place in the quorum's arithmetic, by the order in AURORA_STORAGE. */
  readonly index: number;
  readonly id: string;
  readonly zone: string;
  /** What it is for as long as the volume lives. */
  readonly role: SegmentRole;
  readonly client: SegmentApi;
}

/** The volume and the epoch we write it with, as every request to storage names them. */
export interface WriterIdentity {
  readonly segment: SegmentId;
  readonly writerId: string;
}

/** Which of them are enough, for what. */
export function quorumsOf(segments: readonly SegmentEndpoint[]): Quorums {
  return new Quorums(segments.map(({ role }) => role));
}

/** Connects lazily: a daemon that is away costs nothing until it is spoken to. */
export function connectSegments(storage: readonly Endpoint[], clock: Clock, credentials: Credentials): SegmentEndpoint[] {
  return storage.map((endpoint, index) => {
    const { id, zone, role } = endpoint;
    return { index, id, zone, role, client: new SegmentClient(endpoint, clock, credentials) };
  });
}
