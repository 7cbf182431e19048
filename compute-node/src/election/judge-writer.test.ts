import type { WriterSeen } from '@kube-aurora/rpc';
import { ALL_FULL, Quorums, type SegmentRole } from '@kube-aurora/volume';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judgeWriter, type WriterView } from './judge-writer.ts';

const AFTER_MS = 2000;
const MIXED = new Quorums(['FULL', 'TAIL', 'FULL', 'TAIL', 'FULL', 'TAIL']);

/** What one segment says, in short. */
type Said = WriterView | undefined;
const AWAY: Said = undefined;
const NOBODY: Said = { writer: undefined };
const says = (silentMs: number, epoch = 5n, writerId = 'demo-1/a', leaseGivenBack = false, promisedMs = silentMs): Said => ({
  writer: { epoch, writerId, silentMs, leaseGivenBack, promisedMs },
});
const HEARS = says(300);
const SILENT = says(2500);
const DEAD = says(300, 5n, 'demo-1/a', true);
/** An opener has just had its promise. */
const NEXT = says(20, 6n, 'demo-2/b');
const times = (count: number, said: Said): Said[] => Array.from({ length: count }, () => said);

const judge = (views: readonly Said[], quorums = ALL_FULL) => judgeWriter(views, quorums, AFTER_MS);
const ALIVE = { kind: 'alive', epoch: 5n, writerId: 'demo-1/a', instance: 'demo-1' };
const GONE = { kind: 'gone', reason: 'silent', epoch: 5n, writerId: 'demo-1/a', instance: 'demo-1', heardMsAgo: 2500 };

describe('what the segments’ words come to', () => {
  it.each<[string, readonly Said[], object]>([
    ['all hear it', times(6, HEARS), ALIVE],
    ['four hear it', [...times(4, HEARS), ...times(2, SILENT)], ALIVE],
    ['three hear it: it can hold no lease', [...times(3, HEARS), ...times(3, SILENT)], { ...GONE, heardMsAgo: 300 }],
    ['a zone is cut off from us, and the others hear it', [...times(4, HEARS), AWAY, AWAY], ALIVE],
    ['the two that we cannot hear may be what it lives by', [...times(2, HEARS), ...times(2, SILENT), AWAY, AWAY], ALIVE],
    ['even those two would not be enough', [HEARS, ...times(3, SILENT), AWAY, AWAY], { ...GONE, heardMsAgo: 300 }],
    ['nobody hears it', times(6, SILENT), GONE],
    ['nobody hears it, a zone is away', [...times(4, SILENT), AWAY, AWAY], GONE],
    ['we are cut off', times(6, AWAY), { kind: 'unknown', reason: 'tooFew', answered: 0 }],
    ['too few answer to elect anybody', [...times(3, SILENT), ...times(3, AWAY)], { kind: 'unknown', reason: 'tooFew', answered: 3 }],
    ['one says that its PostgreSQL is dead', [...times(5, HEARS), DEAD], { ...GONE, reason: 'postgresDied', heardMsAgo: 300 }],
    ['an earlier one gave its lease back', [...times(5, HEARS), says(0, 4n, 'demo-9/z', true)], ALIVE],
    ['a new volume', times(6, NOBODY), { kind: 'none' }],
    ['a new volume, a zone is away', [...times(4, NOBODY), AWAY, AWAY], { kind: 'none' }],
    ['somebody opens it, and has one promise', [NEXT, ...times(5, SILENT)], { kind: 'unknown', reason: 'opening' }],
    ['the first one opens it', [NEXT, ...times(5, NOBODY)], { kind: 'unknown', reason: 'opening' }],
    ['somebody opens it, and has four', [...times(4, NEXT), ...times(2, DEAD)], { kind: 'alive', instance: 'demo-2' }],
    ['two race, each with three', [...times(3, NEXT), ...times(3, says(10, 6n, 'demo-3/c'))], { kind: 'unknown', reason: 'opening' }],
    [
      'both have given up',
      [...times(3, says(1200, 6n, 'demo-2/b')), ...times(3, says(1100, 6n, 'demo-3/c'))],
      { kind: 'gone', reason: 'silent', instance: 'demo-3', epoch: 6n, heardMsAgo: 1100 },
    ],
    ['an opener died with one promise, and the writer lives', [says(9000, 6n, 'demo-2/b'), ...times(5, HEARS)], ALIVE],
    ['it died with one promise, and the writer did', [says(9000, 6n, 'demo-2/b'), ...times(5, SILENT)], { kind: 'gone', epoch: 6n }],
    ['who is cut off from it knows its epoch from peers', [...times(4, HEARS), ...times(2, says(2500, 5n, ''))], ALIVE],
    ['only peers’ words are left', times(6, says(2500, 5n, '')), { kind: 'gone', reason: 'silent', writerId: '', instance: '' }],
    [
      'who reaches three goes on for long, and one that it does not reach has an empty disk',
      [...times(3, says(300, 5n, 'demo-1/a', false, 60_000)), ...times(2, SILENT), NOBODY],
      { ...GONE, heardMsAgo: 300 },
    ],
    ['a segment with an empty disk has promised nothing', [...times(5, SILENT), NOBODY], GONE],
  ])('%s', (_name, views, verdict) => {
    expect(judge(views)).toMatchObject(verdict);
  });

  it('of mixed copies, three full ones keep a writer alive, and a promise takes two of them', () => {
    const [full, tail] = [HEARS, SILENT];
    expect(judge([full, tail, full, tail, full, tail], MIXED)).toMatchObject(ALIVE);
    expect(judge([SILENT, HEARS, SILENT, HEARS, HEARS, HEARS], MIXED)).toMatchObject(ALIVE);
    expect(judge([SILENT, HEARS, SILENT, HEARS, SILENT, HEARS], MIXED)).toMatchObject({ kind: 'gone' });
    expect(judge([SILENT, SILENT, AWAY, SILENT, AWAY, SILENT], MIXED)).toMatchObject({ kind: 'unknown', reason: 'tooFew', answered: 4 });
  });
});

const writer = fc.record({
  epoch: fc.bigInt({ min: 1n, max: 4n }),
  writerId: fc.constantFrom('', 'demo-1/a', 'demo-2/b', 'demo-3/c'),
  silentMs: fc.integer({ min: 0, max: 4000 }),
  leaseGivenBack: fc.boolean(),
  promisedMs: fc.integer({ min: 0, max: 4000 }),
});
const view = fc.option(fc.record({ writer: fc.option(writer, { nil: undefined }) }), { nil: undefined });
const volume = fc.record({ views: fc.array(view, { minLength: 6, maxLength: 6 }), quorums: fc.constantFrom(ALL_FULL, MIXED) });

describe('for any words of any segments', () => {
  const rolesOf = (quorums: Quorums, views: readonly Said[], is: (said: Said) => boolean): SegmentRole[] =>
    quorums.rolesAt(views.flatMap((said, index) => (is(said) ? [index] : [])));

  it('a writer that can hold a lease is not gone, unless it said so; and nobody is elected whom too few could promise', () => {
    fc.assert(
      fc.property(volume, ({ views, quorums }) => {
        const verdict = judge(views, quorums);
        if (!quorums.isPromise(rolesOf(quorums, views, (said) => said !== undefined))) {
          expect(verdict.kind).toBe('unknown');
          return;
        }
        const seen = views.flatMap((said) => said?.writer ?? []);
        const isOf = (one: WriterSeen, { epoch, writerId }: WriterSeen): boolean => one.epoch === epoch && one.writerId === writerId;
        const mayLive = seen.filter(
          (one) =>
            one.writerId !== '' &&
            !seen.some((other) => isOf(other, one) && other.leaseGivenBack) &&
            quorums.isWrite(
              rolesOf(
                quorums,
                views,
                (said) => said === undefined || (said.writer !== undefined && isOf(said.writer, one) && said.writer.silentMs < AFTER_MS),
              ),
            ),
        );
        expect(verdict.kind === 'alive').toBe(mayLive.length > 0);
        if (verdict.kind === 'alive') expect(mayLive.some((one) => isOf(one, { ...one, ...verdict }))).toBe(true);
        if (verdict.kind === 'gone')
          expect(verdict.epoch).toBe(seen.reduce((highest, { epoch }) => (epoch > highest ? epoch : highest), 0n));
      }),
    );
  });

  it('a writer that is gone does not turn out to live, whatever those say of it that did not answer', () => {
    fc.assert(
      fc.property(volume, fc.array(fc.integer({ min: 0, max: 4000 }), { minLength: 6, maxLength: 6 }), ({ views, quorums }, silences) => {
        const verdict = judge(views, quorums);
        if (verdict.kind !== 'gone') return;
        const { epoch, writerId } = verdict;
        const all = views.map((said, index) => said ?? says(silences[index] ?? 0, epoch, writerId));
        expect(judge(all, quorums).kind).not.toBe('alive');
      }),
    );
  });
});
