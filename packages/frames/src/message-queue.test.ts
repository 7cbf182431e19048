import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FRAME_BYTES, FRAME_COST, MORE } from './frame-types.ts';
import { MessageQueue } from './message-queue.ts';
import type { Outbox } from './outbox.ts';

/** What a queue sends of messages of these lengths, where its window gets `grants` one after another: flags and lengths of its frames. */
function framesOf(lengths: readonly number[], grants: readonly number[]): { readonly flags: number; readonly length: number }[] {
  const frames: { flags: number; length: number }[] = [];
  const out = {
    frame: (_type: number, _stream: number, flags: number, parts: readonly Buffer[]) =>
      frames.push({ flags, length: parts.reduce((sum, part) => sum + part.length, 0) }),
  } as unknown as Outbox;
  const queue = new MessageQueue();
  for (const length of lengths) queue.push(Buffer.alloc(length));
  let credit = 0;
  for (const grant of [...grants, Infinity]) {
    credit += grant;
    for (let cost = queue.send(out, 1, credit); cost > 0; cost = queue.send(out, 1, credit)) credit -= cost;
  }
  expect(queue.isEmpty).toBe(true);
  return frames;
}

it('a message that fits a frame waits for a window that has room for it whole', () => {
  expect(framesOf([60_000], [20_000, 40_000, FRAME_COST])).toEqual([{ flags: 0, length: 60_000 }]);
});

it('a longer one goes in pieces, and the last of them is as any message', () => {
  expect(framesOf([FRAME_BYTES + 40_000], [20_000 + FRAME_COST, FRAME_BYTES + FRAME_COST])).toEqual([
    { flags: MORE, length: 20_000 },
    { flags: MORE, length: FRAME_BYTES },
    { flags: 0, length: 20_000 },
  ]);
});

it('whatever is granted, messages come whole and in order, and short ones in one frame each', () => {
  const lengths = fc.array(fc.oneof(fc.integer({ min: 1, max: FRAME_BYTES }), fc.integer({ min: 1, max: 4 * FRAME_BYTES })), {
    maxLength: 8,
  });
  fc.assert(
    fc.property(lengths, fc.array(fc.nat(3 * FRAME_BYTES), { maxLength: 20 }), (sent, grants) => {
      const came: number[][] = [];
      let isNext = true;
      for (const { flags, length } of framesOf(sent, grants)) {
        if (isNext) came.push([]);
        came.at(-1)?.push(length);
        isNext = (flags & MORE) === 0;
      }
      expect(came.map((pieces) => pieces.reduce((sum, piece) => sum + piece, 0))).toEqual(sent);
      for (const pieces of came) if (pieces.reduce((sum, piece) => sum + piece, 0) <= FRAME_BYTES) expect(pieces).toHaveLength(1);
    }),
  );
});
