import { expect, it } from 'vitest';
import { RecordTable } from './record-table.ts';

it('takes records many at a time, in places of its own, as one by one', () => {
  const [many, single] = [new RecordTable(), new RecordTable()];
  const count = 9000;
  while (many.next < count) {
    const places = many.places(Math.min(1000, count - many.next));
    const { next } = many;
    for (let at = 0; at < places.count; at++) {
      const seq = next + at;
      places.lsns[places.first + at] = BigInt(seq) * 1_000_000_007n;
      places.positions[places.first + at] = seq * 100;
      places.lengths[places.first + at] = seq + 1;
    }
    many.filled(places.count, next % 3 === 0);
    for (let seq = next; seq < many.next; seq++)
      single.push(seq * 1_000_000_007, seq * 100, seq + 1, next % 3 === 0 && seq === many.next - 1);
    many.dropBelow(next - 5000);
    single.dropBelow(next - 5000);
  }
  expect([many.first, many.next, many.size]).toEqual([single.first, single.next, single.size]);
  for (let seq = many.first; seq < count; seq++) {
    expect([many.lsn(seq), many.position(seq), many.recordBytes(seq), many.isLastOfBatch(seq)]).toEqual([
      single.lsn(seq),
      single.position(seq),
      single.recordBytes(seq),
      single.isLastOfBatch(seq),
    ]);
  }
});
