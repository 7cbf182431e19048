import { LANE_MESSAGE_BYTES_MAX } from '@kube-aurora/append-lane';
import { FRAME_BYTES, LAYOUTS, type HelloOptions } from '@kube-aurora/frames';
import type { AuroraErrorCode } from './errors.ts';

/** What both ends of the hot path go by; the numbers stand in proto/frames.md. */

/** Kinds of streams. */
export const STREAM_KINDS = { APPEND: 1, GET_PAGES: 2, FOLLOW: 3, RENEW_LEASE: 4 } as const;

/**
 * In the order of their numbers. What a later release has is INTERNAL here. UNREACHABLE is nothing that anybody sends.
 */
const ERROR_CODES: readonly AuroraErrorCode[] = [
  'INTERNAL',
  'FENCED',
  'EPOCH_TAKEN',
  'NOT_READY',
  'BEHIND',
  'TOO_OLD',
  'DAMAGED',
  'INVALID',
  'REFUSED',
  'DEADLINE',
  'NO_PAGES',
];

export const errorNumber = (code: AuroraErrorCode): number => Math.max(0, ERROR_CODES.indexOf(code));
export const errorCode = (number: number): AuroraErrorCode => ERROR_CODES[number] ?? 'INTERNAL';

/** A dead or cut off peer shows within 15 s, as with gRPC: asked after 10 s of silence, given up 5 s later. */
export const HELLO: HelloOptions = { heartbeatMs: 10_000, streamsMax: 128, windowBytes: 1024 * 1024 };
/** For connecting, encryption and the hellos. */
export const HELLO_TIMEOUT_MS = 10_000;

/** One message with redo, whatever its size: the longest that a batch may be (packages/volume). */
export const APPEND_BYTES_MAX = 1056 * 1024 * 1024;

/** Redo that an Append request takes along in one frame. A longer request goes in several. */
export const APPEND_FRAME_REDO_BYTES = FRAME_BYTES - LAYOUTS.append.size;
/** The most in a request that the thread of a connection takes. */
export const LENT_REDO_BYTES_MAX = LANE_MESSAGE_BYTES_MAX - LAYOUTS.append.size;
/** Of any engine. */
const PAGE_BYTES_MAX = 64 * 1024;
/** An answer is no longer, whatever page size the engine has. */
export const answerBytesMax = (keys: number): number => 2 + keys * (1 + PAGE_BYTES_MAX);
