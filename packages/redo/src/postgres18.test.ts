import { decodeKey, encodeKey, type PageEffect, type PageKey } from '@kube-aurora/redo-engine';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodePageKey, SLRU_FORK, SLRU_KINDS, type PageId } from './page-key.ts';
import { databaseSpaces, pageIdOf, pageKeyOf, relationSpaces } from './page-space.ts';
import { postgres18 } from './postgres18.ts';
import { pageEffects } from './state/postgres18-state.ts';

const u32 = fc.nat({ max: 0xffff_ffff });
const pageId = fc.record({ spcOid: u32, dbOid: u32, relNumber: u32, fork: fc.nat({ max: 255 }), block: u32 });
const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384 };

const isGone = (effect: PageEffect, { space, block }: PageKey): boolean =>
  (effect.kind === 'drop-spaces' && space.startsWith(effect.spaces)) ||
  (effect.kind === 'drop-blocks' && space === effect.space && block >= effect.from && block < effect.before);

describe('page keys of PostgreSQL', () => {
  it('are bytes that the page store had before there were engines', () => {
    fc.assert(
      fc.property(pageId, (page) => {
        expect(encodeKey(pageKeyOf(page))).toEqual(encodePageKey(page));
        expect(pageIdOf(decodeKey(encodePageKey(page)))).toEqual(page);
      }),
    );
  });

  it('are one string for a space, however many others are asked for in between', () => {
    const spaces = Array.from({ length: 70_000 }, (_, index) => pageKeyOf({ ...REL, relNumber: index, fork: 0, block: 0 }).space);
    expect(new Set(spaces).size).toBe(70_000);
    expect(pageKeyOf({ ...REL, relNumber: 0, fork: 0, block: 9 }).space).toBe(spaces[0]);
  });

  it('begin alike for the forks of a relation, and for the relations of a database', () => {
    fc.assert(
      fc.property(pageId, pageId, (one, other) => {
        const { space } = pageKeyOf(one);
        const sameDatabase = one.spcOid === other.spcOid && one.dbOid === other.dbOid;
        expect(space.startsWith(relationSpaces(one))).toBe(true);
        expect(space.startsWith(databaseSpaces(one))).toBe(true);
        expect(space.startsWith(databaseSpaces(other))).toBe(sameDatabase);
        expect(space.startsWith(relationSpaces(other))).toBe(sameDatabase && one.relNumber === other.relNumber);
      }),
    );
  });

  it('are refused, saying why, when they can name no page', () => {
    const problem = (page: PageId): string | undefined => postgres18.keyProblem(pageKeyOf(page));
    expect(problem({ ...REL, fork: 3, block: 0xffff_ffff })).toBeUndefined();
    expect(problem({ spcOid: 0, dbOid: SLRU_KINDS.pg_commit_ts, relNumber: 0, fork: SLRU_FORK, block: 1 })).toBeUndefined();
    expect(problem({ ...REL, fork: 4, block: 0 })).toContain('4 is not');
    expect(problem({ spcOid: 0, dbOid: 9, relNumber: 0, fork: SLRU_FORK, block: 1 })).toContain('SLRUs');
    expect(postgres18.keyProblem({ space: 'short', block: 0 })).toContain('has 5 bytes');
    expect(postgres18.describePage(pageKeyOf({ ...REL, fork: 2, block: 7 }))).toBe('1663/5/16384_vm block 7');
    expect(postgres18.describePage({ space: 'ab', block: 7 })).toBe('space 6162 block 7');
  });
});

describe('effects on pages', () => {
  it('are those of the record, whichever page is asked about', () => {
    const other: PageId = { ...REL, relNumber: 16_385, fork: 0, block: 3 };
    const [drop] = pageEffects({ kind: 'drop', relation: REL });
    const [dropDatabase] = pageEffects({ kind: 'drop-database', spcOid: 1663, dbOid: 5 });
    const [truncate] = pageEffects({ kind: 'truncate', fork: { ...REL, fork: 0 }, blocks: 10 });
    const goneBy = (effect: PageEffect | undefined, page: PageId): boolean => effect !== undefined && isGone(effect, pageKeyOf(page));
    for (const fork of [0, 1, 2, 3]) expect(goneBy(drop, { ...REL, fork, block: 0xffff_ffff })).toBe(true);
    expect(goneBy(drop, other)).toBe(false);
    expect(goneBy(dropDatabase, other)).toBe(true);
    expect(goneBy(dropDatabase, { ...other, dbOid: 6 })).toBe(false);
    expect([9, 10, 0xffff_ffff].map((block) => goneBy(truncate, { ...REL, fork: 0, block }))).toEqual([false, true, true]);
    expect(goneBy(truncate, { ...REL, fork: 2, block: 10 })).toBe(false);
  });

  it('of an SLRU whose page numbers wrap around are two', () => {
    const page = (block: number): PageKey => pageKeyOf({ spcOid: 0, dbOid: SLRU_KINDS.pg_xact, relNumber: 0, fork: SLRU_FORK, block });
    const gone = (from: number, before: number): ((block: number) => boolean) => {
      const effects = pageEffects({ kind: 'slru-truncate', slru: 'pg_xact', fromPage: from, beforePage: before });
      return (block) => effects.some((effect) => isGone(effect, page(block)));
    };
    expect([31, 32, 63, 64].map(gone(32, 64))).toEqual([false, true, true, false]);
    expect([131_039, 131_040, 131_071, 0, 31, 32].map(gone(131_040, 32))).toEqual([false, true, true, true, true, false]);
  });
});
