import { AuroraRpcError } from '@kube-aurora/rpc';
import type { SegmentRole } from '@kube-aurora/volume';

/** Where a segment is, and what it is for as long as it lives. */
export interface SegmentIdentity {
  readonly daemonId: string;
  readonly zone: string;
  readonly role: SegmentRole;
}

/** Throws AuroraRpcError REFUSED when a segment is taken for something that it is not. */
export function refuseRole(held: SegmentRole, told: SegmentRole, field: string): void {
  if (held === told) return;
  const message = `${field}: ${told}, and the segment is ${held}; roles never change: computes and daemons must be given the list that the volume was made with`;
  throw new AuroraRpcError('REFUSED', message, 'other-role');
}
