import { expect, test } from 'vitest';
import { segmentZone, storageName } from './names.ts';
import { byGroup, fewestInGroup, groupPeers, protectionGroups, segmentIds, SegmentMap, segmentOrdinal } from './segment-id.ts';
import { SEGMENTS } from './types.ts';

test.each(segmentIds.map((segment) => [segmentOrdinal(segment), segment] as const))('segment %i', (ordinal, segment) => {
  expect(storageName('demo', segment)).toBe(`demo-storage-${ordinal}`);
  expect(groupPeers(segment)).toHaveLength(SEGMENTS - 1);
  expect(groupPeers(segment)).not.toContainEqual(segment);
  expect(groupPeers(segment).every(({ pg }) => pg === segment.pg)).toBe(true);
});

test('two of each group stand in each zone', () => {
  for (const segments of byGroup(() => true))
    expect(segments.map((segment) => segmentZone(['a', 'b', 'c'], segment)).sort()).toEqual(['a', 'a', 'b', 'b', 'c', 'c']);
});

test('names are distinct across groups, also those that are not there yet', () => {
  const ids = [0, 1, 2].flatMap((pg) => Array.from({ length: SEGMENTS }, (_, index) => ({ pg, index })));
  expect(new Set(ids.map((segment) => storageName('demo', segment))).size).toBe(ids.length);
});

test('a map finds its entries by value, and a later entry takes the place of an earlier one', () => {
  const map = new SegmentMap([
    [{ pg: 0, index: 1 }, 'old'],
    [{ pg: 1, index: 1 }, 'of another group'],
    [{ pg: 0, index: 1 }, 'new'],
  ]);
  expect(map.get({ pg: 0, index: 1 })).toBe('new');
  expect(map.get({ pg: 1, index: 1 })).toBe('of another group');
  expect(map.get({ pg: 0, index: 2 })).toBeUndefined();
  expect(map.has({ pg: 1, index: 2 })).toBe(false);
  expect(map.values()).toEqual(['new', 'of another group']);
  expect([...map].map(([{ pg }]) => pg)).toEqual([0, 1]);
});

test('a quorum is counted in the group that is worst off', () => {
  expect(fewestInGroup(() => true)).toBe(SEGMENTS);
  expect(fewestInGroup(({ index }) => index > 1)).toBe(SEGMENTS - 2);
  expect(fewestInGroup(({ pg, index }) => pg !== protectionGroups[0] || index === 0)).toBe(1);
});
