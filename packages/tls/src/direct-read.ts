import type { OnReadOpts } from 'node:net';

/** A connection reads so much at once. */
const READ_BYTES = 64 * 1024;
/** What is read in pieces up to this is copied out of the memory that it came in, which is read into again. */
const COPY_BYTES_MAX = 4 * 1024;
/** What is left of memory is read into as long as it has room for a whole record of TLS, which is what comes at once. */
const ROOM_BYTES_MIN = 16 * 1024;

/**
 * For a connection, encrypted or not, whose bytes come to `take` without going through the queue of a stream: nobody reads it but by
 * listening, and nobody pauses it. An acknowledgement of 29 bytes costs no memory of READ_BYTES then, and half the processor time; records of
 * pages, which stay where they came, share it.
 *
 * Invariant: what was given to `take` as it came is never read into again.
 */
export function directRead(take: (bytes: Buffer) => void): OnReadOpts {
  let room = Buffer.allocUnsafeSlow(READ_BYTES);
  return {
    buffer: () => room,
    callback: (bytes) => {
      const read = room.subarray(0, bytes);
      if (bytes <= COPY_BYTES_MAX) {
        take(Buffer.from(read));
        return true;
      }
      room = room.length - bytes >= ROOM_BYTES_MIN ? room.subarray(bytes) : Buffer.allocUnsafeSlow(READ_BYTES);
      take(read);
      return true;
    },
  };
}
