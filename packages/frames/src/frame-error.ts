/**
 * Why a connection is over. The first five are told to the other end with GOODBYE, by their number in proto/frames.md;
 * what has no number was noticed here alone.
 */
export const GOODBYE_REASONS = {
  /** The two ends have no version in common. */
  VERSION: 1,
  /** A frame that the protocol does not have, or not there. */
  MALFORMED: 2,
  /** More than the receiver had said it would take. */
  TOO_MUCH: 3,
  /** Nothing came for too long. */
  SILENT: 4,
  /** The end that says it is stopping. */
  STOPPING: 5,
} as const;

export type GoodbyeReason = keyof typeof GOODBYE_REASONS;
/** NOT_FRAMES: the other end speaks something else. BROKEN: the connection itself ended. */
export type FrameErrorReason = GoodbyeReason | 'NOT_FRAMES' | 'BROKEN';

export class FrameError extends Error {
  readonly reason: FrameErrorReason;
  constructor(reason: FrameErrorReason, message: string) {
    super(message);
    this.name = 'FrameError';
    this.reason = reason;
  }
}

export function goodbyeReason(number: number): FrameErrorReason {
  const known = Object.entries(GOODBYE_REASONS).find(([, each]) => each === number);
  return known === undefined ? 'BROKEN' : (known[0] as GoodbyeReason);
}
