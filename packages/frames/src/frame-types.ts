import { LAYOUTS } from './layouts.ts';

/** The frames there are, who may send them, and how long their payload may be. */

/** What any program of text, and anything that changes line ends or the eighth bit, would have broken. */
export const MAGIC = Buffer.from([0x89, 0x4b, 0x41, 0x52, 0x0d, 0x0a, 0x1a, 0x0a]);

/** The version that this release speaks, and the oldest that it still does. */
export const VERSION = 1;
export const VERSION_MIN = 1;

/** A message that is longer goes in several frames, so that others get between them. */
export const FRAME_BYTES = 64 * 1024;
/**
 * The longest payload that is taken: an Append stream's opening with the longest epoch history is more than
 * FRAME_BYTES.
 */
export const FRAME_BYTES_MAX = 128 * 1024;
/** A stream's first message goes in one frame, with what opens it. */
export const FIRST_MESSAGE_BYTES_MAX = FRAME_BYTES_MAX - LAYOUTS.open.size;
const TEXT_BYTES_MAX = 4096;
/** What a DATA frame takes of its stream's window beside its length: empty ones cost their receiver memory, too. */
export const FRAME_COST = 64;

export const OPEN = 1;
export const DATA = 2;
export const RESET = 3;
export const ERROR = 4;
export const WINDOW = 5;
export const PING = 6;
export const PONG = 7;
export const GOODBYE = 8;

/** DATA: the message goes on in the stream's next DATA. */
export const MORE = 1;
/** DATA: the sender sends nothing more on this stream; the message before it, if any, is whole. */
export const END = 2;

/** client: who connected, a compute. server: who accepted, a daemon. */
export type Side = 'client' | 'server';

export interface FrameRule {
  readonly name: string;
  readonly from: Side | 'both';
  /** Of one stream, or of the connection itself, which is stream 0. */
  readonly of: 'stream' | 'connection';
  readonly flags: number;
  /** Bytes of payload. */
  readonly min: number;
  readonly max: number;
}

const rule = (name: string, from: FrameRule['from'], of: FrameRule['of'], [min, max]: readonly [number, number], flags = 0): FrameRule => ({
  name,
  from,
  of,
  flags,
  min,
  max,
});

/** By type. */
export const FRAME_RULES: ReadonlyMap<number, FrameRule> = new Map([
  [OPEN, rule('OPEN', 'client', 'stream', [LAYOUTS.open.size, FRAME_BYTES_MAX])],
  [DATA, rule('DATA', 'both', 'stream', [0, FRAME_BYTES_MAX], MORE | END)],
  [RESET, rule('RESET', 'client', 'stream', [0, 0])],
  [ERROR, rule('ERROR', 'server', 'stream', [LAYOUTS.error.size, LAYOUTS.error.size + TEXT_BYTES_MAX])],
  [WINDOW, rule('WINDOW', 'server', 'stream', [LAYOUTS.window.size, LAYOUTS.window.size])],
  [PING, rule('PING', 'both', 'connection', [0, 0])],
  [PONG, rule('PONG', 'both', 'connection', [0, 0])],
  [GOODBYE, rule('GOODBYE', 'both', 'connection', [LAYOUTS.goodbye.size, LAYOUTS.goodbye.size + TEXT_BYTES_MAX])],
]);

/** Text for people, cut to what a frame may have of it. */
export function shortText(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  return bytes.length <= TEXT_BYTES_MAX
    ? bytes
    : Buffer.from(
        bytes
          .subarray(0, TEXT_BYTES_MAX - 3)
          .toString('utf8')
          .replace(/\uFFFD+$/u, ''),
      );
}
