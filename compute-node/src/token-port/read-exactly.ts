import type { Readable } from 'node:stream';

/**
 * The next so many bytes, and not one more: whoever reads on finds the rest where it is. Undefined when the stream ends, or is destroyed,
 * before. What came of them so far is taken at once: a stream that has something says so again and again, and nothing else would have its turn.
 */
export async function readExactly(stream: Readable, bytes: number): Promise<Buffer | undefined> {
  const taken: Buffer[] = [];
  let length = 0;
  for (;;) {
    if (stream.destroyed) return undefined;
    const read: unknown = stream.read();
    if (Buffer.isBuffer(read)) {
      taken.push(read);
      length += read.length;
    }
    if (length >= bytes) {
      const whole = Buffer.concat(taken);
      if (length > bytes) stream.unshift(whole.subarray(bytes));
      return whole.subarray(0, bytes);
    }
    if (stream.readableEnded) return undefined;
    await changed(stream);
  }
}

const NEWS = ['readable', 'end', 'close', 'error'] as const;

function changed(stream: Readable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of NEWS) stream.off(event, done);
      resolve();
    };
    for (const event of NEWS) stream.on(event, done);
  });
}
