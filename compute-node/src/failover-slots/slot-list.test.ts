import { formatLsn, lsn } from '@kube-aurora/pg-format';
import { describe, expect, it } from 'vitest';
import { slot } from './fixture-slot-row.ts';
import { decodeSlotList, encodeSlotList, nextTelling, syncable, wantedOf, whyMissing, type SlotRow, type Telling } from './slot-list.ts';

describe('the list of replication slots', () => {
  it('is what was written, with blanks behind it', () => {
    const rows = [slot('a'), slot('b', { restart_lsn: null })];
    expect(decodeSlotList(Buffer.concat([encodeSlotList(rows), Buffer.alloc(40, ' ')]))).toEqual(rows);
  });

  it.each([
    ['no', 'no JSON'],
    ['{}', 'no array'],
    ['[1]', 'no object'],
    ['[{"slot_name":"a"}]', 'no text as slot_type'],
    [JSON.stringify([{ ...slot('a'), slot_name: null }]), 'without a name'],
  ])('is refused when it is %s', (text, why) => {
    expect(() => decodeSlotList(Buffer.from(text))).toThrow(why);
  });
});

it('gives a reader no slot that needs WAL from before it began', () => {
  const [X, before] = [lsn(0x3000008n), lsn(0x3000007n)];
  const rows = [
    slot('at', { restart_lsn: formatLsn(X) }),
    slot('before', { restart_lsn: formatLsn(before) }),
    slot('not_followed', { restart_lsn: formatLsn(X), failover: 'false' }),
    slot('physical', { restart_lsn: formatLsn(X), slot_type: 'physical', failover: 'false' }),
    slot('reserves_nothing', { restart_lsn: null }),
    slot('invalid', { restart_lsn: null, invalidation_reason: 'wal_removed' }),
  ];
  expect(syncable(rows, X).map(({ slot_name: name }) => name)).toEqual(['at', 'invalid']);
  // Wanted are those too that it may not be given yet: they would be lost.
  expect(wantedOf(rows)).toEqual(['at', 'before', 'reserves_nothing']);
});

describe('the list is written', () => {
  const at = (endLsn: number, rows: readonly SlotRow[], small = 0): Telling => ({
    rows,
    endLsn: lsn(BigInt(endLsn)),
    small,
    isOther: false,
  });
  const ahead = slot('a', { restart_lsn: '0/3000200' });

  it('at once when a slot was made, dropped or changed', () => {
    for (const rows of [
      [],
      [slot('a'), slot('b')],
      [slot('a', { failover: 'false' })],
      [slot('a', { invalidation_reason: 'idle_timeout' })],
    ])
      expect(nextTelling(at(1000, [slot('a')], 9), rows, 1000n)).toMatchObject({ rows, small: 0, isOther: true });
  });

  it('when slots have gone on, as long as something is written', () => {
    expect(nextTelling(at(1000, [slot('a')]), [slot('a')], 90_000n)).toBeUndefined();
    expect(nextTelling(at(1000, [slot('a')], 3), [ahead], 90_000n)).toMatchObject({ rows: [ahead], small: 0, isOther: false });
  });

  it('only a few times in a row where nothing is but what comes of the list itself', () => {
    let told: Telling | undefined = at(1000, [slot('a')]);
    let times = 0;
    for (let n = 1; told !== undefined && n < 100; n++) {
      told = nextTelling(told, [slot('a', { confirmed_flush_lsn: `0/${n}000000` })], told.endLsn + 300n);
      times = n;
    }
    expect(times).toBe(4);
  });
});

it('says why a slot is not there', () => {
  expect(whyMissing(slot('a'), false)).toContain('without the files');
  expect(whyMissing(slot('a', { slot_type: 'physical', failover: 'false' }), true)).toContain('physical');
  expect(whyMissing(slot('a', { failover: 'false' }), true)).toContain('failover = true');
  expect(whyMissing(slot('a'), true)).toContain('none like it yet');
});
