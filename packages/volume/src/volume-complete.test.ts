import fc from 'fast-check';
import { expect, it } from 'vitest';
import { volumeCompleteLsn } from './volume-complete.ts';

it('is PGCL with one group', () => {
  expect(volumeCompleteLsn([{ pgcl: 100n, sentLsn: 100n }], 100n)).toBe(100n);
  expect(volumeCompleteLsn([{ pgcl: 60n, sentLsn: 100n }], 100n)).toBe(60n);
});

it('does not wait for a group that has all it was sent', () => {
  const quiet = { pgcl: 10n, sentLsn: 10n };
  expect(volumeCompleteLsn([quiet, { pgcl: 80n, sentLsn: 100n }], 100n)).toBe(80n);
  expect(volumeCompleteLsn([quiet, { pgcl: 100n, sentLsn: 100n }], 100n)).toBe(100n);
});

it('never covers a record that a group misses, and covers all when all have all', () => {
  const groups = 3;
  const step = fc.oneof(
    fc.record({ kind: fc.constant('send' as const), group: fc.nat(groups - 1), bytes: fc.integer({ min: 1, max: 90 }) }),
    fc.record({ kind: fc.constant('acknowledge' as const), group: fc.nat(groups - 1) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      // Each group's batches, [start, end), and how many of them its quorum holds.
      const sent = Array.from({ length: groups }, (): { start: bigint; end: bigint }[] => []);
      const held = Array.from({ length: groups }, () => 0);
      let end = 0n;
      let vcl = 0n;
      for (const { kind, group, ...rest } of steps) {
        if (kind === 'send' && 'bytes' in rest) {
          sent[group]?.push({ start: end, end: end + BigInt(rest.bytes) });
          end += BigInt(rest.bytes);
        } else held[group] = Math.min((held[group] ?? 0) + 1, sent[group]?.length ?? 0);
        const progress = sent.map((batches, index) => ({
          pgcl: batches[(held[index] ?? 0) - 1]?.end ?? 0n,
          sentLsn: batches.at(-1)?.end ?? 0n,
        }));
        const now = volumeCompleteLsn(progress, end);
        if (now > vcl) vcl = now;
        sent.forEach((batches, index) => {
          const missing = batches[held[index] ?? 0];
          if (missing !== undefined) expect(vcl <= missing.start).toBe(true);
        });
        if (sent.every((batches, index) => batches.length === held[index])) expect(vcl).toBe(end);
      }
    }),
  );
});
