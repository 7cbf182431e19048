import { LAYOUTS } from '@kube-aurora/frames';
import { decodeMessage, encodeMessage } from './message-codec.ts';
import type { LeaseAnswer, RenewLeaseRequest } from './messages.ts';
import { WireError } from './wire-fields.ts';

/**
 * A renewal of a lease over frames: the messages of segment.proto, without the cost of a gRPC call. A writer asks every segment
 * twice a second, whether it has anything to do or not.
 */

/** More leases than a segment ever tells of (packages/volume/src/lease.ts). */
export const LEASE_ANSWER_BYTES_MAX = 64 * 1024;

export const encodeLeaseRequest = (request: RenewLeaseRequest): Buffer => encodeMessage('RenewLeaseRequest', request);
/** Throws WireError for bytes that are no such message. */
export function decodeLeaseAnswer(message: readonly Buffer[]): LeaseAnswer {
  const bytes = Buffer.concat(message);
  const { renewed: at } = LAYOUTS;
  if (at.granted.get(bytes) !== 1) throw new WireError(`renewed.granted: ${at.granted.get(bytes)} is not 1`);
  return decodeMessage('LeaseAnswer', bytes.subarray(at.size));
}

export function encodeLeaseAnswer(answer: LeaseAnswer): Buffer[] {
  const { renewed: at } = LAYOUTS;
  const head = Buffer.alloc(at.size);
  at.granted.set(head, 1);
  return [head, encodeMessage('LeaseAnswer', answer)];
}

/** Throws WireError for bytes that are no such message. */
export const decodeLeaseRequest = (message: Buffer): RenewLeaseRequest => decodeMessage('RenewLeaseRequest', message);
