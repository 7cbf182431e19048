import { systemClock } from '@kube-aurora/clock';
import { postgres18 } from '@kube-aurora/redo';
import type { PageKey } from '@kube-aurora/redo-engine';
import { describe, expect, it } from 'vitest';
import { LogGoneError } from '../redo-log/log-errors.ts';
import { filledPage } from '../testing/synthetic-records.ts';
import { PageBuilder, type Built } from './page-builder.ts';
import { PageCache } from './page-cache.ts';
import type { PageSources } from './page-plan.ts';
import type { PageStore } from './page-store.ts';
import type { PageVersion } from './stored-pages.ts';
import { RecordTable } from './record-table.ts';
import { RedoIndex } from './redo-index.ts';
import { StoredValueError } from './stored-value.ts';
import { Tombstones } from './tombstones.ts';

/**
 * What a page is made from when there is no redo on it: stored versions, drops and copies. Redo is applied in the tests
 * of a whole segment.
 */

const [A, B, COPY] = ['aa1', 'ab1', 'zz1'].map((space) => ({ space, block: 3 })) as [PageKey, PageKey, PageKey];

function builderOf(
  stored: readonly [PageKey, PageVersion | StoredValueError][],
  tombstones: Tombstones,
  writtenTo = 0n,
  keptFrom = 0n,
): PageBuilder {
  const versionOf = (page: PageKey): PageVersion | StoredValueError | undefined => stored.find(([key]) => key.space === page.space)?.[1];
  const store: Pick<PageStore, 'getMany'> = { getMany: (pages) => Promise.resolve(pages.map(versionOf)) };
  const sources = {
    engine: postgres18,
    table: new RecordTable(),
    index: new RedoIndex(),
    tombstones,
    store,
    cache: new PageCache(1e6, 8192),
    log: { startLsn: 0n },
  };
  const limits = { keptFrom: () => keptFrom, writtenTo: () => writtenTo };
  return new PageBuilder({ ...sources, ...limits } as unknown as PageSources, { clock: systemClock(), sliceMs: 5 });
}

const version = (lsn: bigint, fill: number): PageVersion => ({ lsn, page: filledPage(fill) });
const shown = (built: readonly Built[]): unknown[] => built.map((one) => (one.kind === 'page' ? one.bytes[8000] : one.kind));

describe('pages without redo', () => {
  it('are what is stored, nothing, newer or damaged, in the order asked for', async () => {
    const damaged = new StoredValueError(Buffer.from('k'), 'fails its CRC');
    const builder = builderOf(
      [
        [A, version(5n, 7)],
        [COPY, damaged],
      ],
      new Tombstones(),
    );
    expect(shown(await builder.build([B, COPY, A], 9n, 'read'))).toEqual(['none', 'damaged', 7]);
    expect(shown(await builder.build([A], 4n, 'read'))).toEqual(['newer']);
    const after = builderOf([], new Tombstones(), 0n, 20n);
    expect(shown(await after.build([A], 9n, 'read'))).toEqual(['newer']);
  });

  it('that were dropped are none after the drop, and for readers newer before it once something was written past it', async () => {
    const tombstones = new Tombstones();
    tombstones.add(10n, { kind: 'drop-spaces', spaces: 'aa' });
    const builder = builderOf([[A, version(5n, 7)]], tombstones, 30n);
    expect(shown(await builder.build([A], 11n, 'read'))).toEqual(['none']);
    expect(shown(await builder.build([A], 9n, 'read'))).toEqual(['newer']);
    expect(shown(await builderOf([[A, version(5n, 7)]], tombstones, 10n).build([A], 9n, 'read'))).toEqual([7]);
  });

  it('that were copied are what their source was then, though it was dropped since and others were written past that', async () => {
    const tombstones = new Tombstones();
    tombstones.add(10n, { kind: 'copy-spaces', from: 'aa', to: 'zz' });
    tombstones.add(20n, { kind: 'drop-spaces', spaces: 'aa' });
    const builder = builderOf([[A, version(5n, 7)]], tombstones, 30n);
    expect(shown(await builder.build([COPY], 40n, 'read'))).toEqual([7]);
    expect(shown(await builder.build([COPY], 40n, 'store'))).toEqual([7]);
    expect(shown(await builder.build([A], 10n, 'store'))).toEqual([7]);
    expect(shown(await builder.build([COPY], 10n, 'store'))).toEqual(['none']);
  });
});

describe('pages whose redo goes while they are made', () => {
  const record = { lsn: 10n, position: 64, bytes: 100 };

  /** A checkpoint as of 20 is made while the stored version of before it is on its way; the log then starts there. */
  function checkpointBetween(log: { startLsn: bigint }): PageBuilder {
    const versions = [version(5n, 7), version(20n, 8)];
    const store: Pick<PageStore, 'getMany'> = {
      getMany: () => {
        const found = versions.length > 1 ? versions.shift() : versions[0];
        log.startLsn = 20n;
        return Promise.resolve([found]);
      },
    };
    const reader = {
      readInto: () => {
        throw new LogGoneError(10n, 20n);
      },
      recent: () => undefined,
    };
    const table = new RecordTable();
    const index = new RedoIndex();
    index.add(A.space, A.block, false, table.push(Number(record.lsn), record.position, record.bytes, true));
    const sources = { engine: postgres18, table, index, tombstones: new Tombstones(), store, cache: new PageCache(1e6, 8192) };
    const limits = { keptFrom: () => 0n, writtenTo: () => 0n, log: Object.assign(log, { reader }) };
    return new PageBuilder({ ...sources, ...limits } as unknown as PageSources, { clock: systemClock(), sliceMs: 5 });
  }

  it('are made from what was stored meanwhile', async () => {
    expect(shown(await checkpointBetween({ startLsn: 0n }).build([A], 30n, 'read'))).toEqual([8]);
  });

  it('are told to be gone when nothing has moved', async () => {
    await expect(checkpointBetween({ startLsn: 20n }).build([A], 30n, 'read')).rejects.toThrow(LogGoneError);
  });
});
