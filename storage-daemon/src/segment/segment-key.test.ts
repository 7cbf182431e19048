import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChainEnd } from '../testing/synthetic-records.ts';
import { imageRecord } from '../testing/synthetic-records.ts';
import { TestCluster, VOLUME, type TestWriter } from '../testing/test-cluster.ts';
import { testKey, testKeys } from '../testing/test-keys.ts';

const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const ALL = [0, 1, 2];

/** Daemons with data, of which the first is stopped and started with other keys. */
describe('a segment’s data key', () => {
  let cluster: TestCluster;
  let base: ChainEnd;
  let writer: TestWriter;

  async function begin(key: number | undefined): Promise<void> {
    cluster.keys = key === undefined ? undefined : testKeys(key);
    for (const i of ALL) await cluster.startDaemon(i);
    base = await cluster.import(1n, ALL);
    writer = await cluster.open(2n, 'w/1', base, [{ epoch: 1n, startLsn: base.lsn }], ALL);
    for (let i = 0; i < 5; i++) await writer.append([imageRecord(REL, i, i + 1)], ALL);
    writer.points(ALL);
    for (const i of ALL) await cluster.until(i, (state) => state.appliedLsn === writer.end.lsn);
  }

  beforeEach(async () => {
    cluster = await TestCluster.start(3);
    for (const i of ALL) await cluster.stopDaemon(i);
  });
  afterEach(async () => {
    writer.close();
    await cluster.stop();
  });

  /** Of every file of the first daemon. */
  function files(): ReadonlyMap<string, string> {
    const entries = fs.readdirSync(cluster.dataOf(0), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    return new Map(
      entries.map(({ parentPath, name }) => {
        const path = join(parentPath, name);
        return [path, createHash('sha256').update(fs.readFileSync(path)).digest('hex')];
      }),
    );
  }
  /** Without those that LevelDB makes anew whenever it is opened. */
  const data = (): readonly (readonly [string, string])[] =>
    [...files()].filter(([path]) => /\.(redo|slots)$|control$|durable$/.test(path));

  async function restart(...keys: readonly [number, ...number[]] | []): Promise<void> {
    await cluster.stopDaemon(0);
    writer.drop(0);
    const [first, ...others] = keys;
    cluster.keys = first === undefined ? undefined : testKeys(first, ...others);
    await cluster.startDaemon(0);
    await cluster.reachable(0);
  }

  const wrappedBy = (): unknown => {
    const [segment] = cluster.daemon(0).segments;
    return segment?.control.encryption?.wrappedBy;
  };

  it('does not open with another key, or none, and changes nothing; with the right one it has all', async () => {
    await begin(1);
    await cluster.stopDaemon(0);
    const before = data();
    await cluster.startDaemon(0);
    for (const keys of [[2], []] as const) {
      await restart(...keys);
      expect(await cluster.status(0)).toMatchObject({ phase: 'DAMAGED', fault: { kind: 'KEY_UNUSABLE' } });
      expect(cluster.daemon(0).lacksKeys).toBe(true);
      // Its peers are sound and willing, and it takes no copy of them.
      await cluster.daemon(0).rewrap();
    }
    await cluster.stopDaemon(0);
    expect(data()).toEqual(before);
    await restart(1);
    await cluster.until(0, (state) => state.phase === 'READY' && state.scl === writer.end.lsn);
    expect(await cluster.page(0, { ...REL, block: 3 }, writer.end.lsn, 2n)).toBe(4);
  });

  it('is refused to a segment that was made without encryption, which changes nothing either', async () => {
    await begin(undefined);
    await restart(1);
    expect(await cluster.status(0)).toMatchObject({
      phase: 'DAMAGED',
      fault: { kind: 'KEY_UNUSABLE' },
      message: expect.stringContaining('was made without encryption') as string,
    });
    await restart();
    await cluster.until(0, (state) => state.phase === 'READY' && state.scl === writer.end.lsn);
    expect(wrappedBy()).toBeUndefined();
  });

  it('goes over to a key that wraps it anew, and writes nothing else', async () => {
    await begin(1);
    expect(wrappedBy()).toBe(testKey(1).fingerprint);
    await cluster.stopDaemon(0);
    const before = data();
    await restart(2, 1);
    expect(wrappedBy()).toBe(testKey(2).fingerprint);
    await cluster.stopDaemon(0);
    const changed = data().filter(([path, hash], at) => before[at]?.[0] !== path || before[at]?.[1] !== hash);
    expect(changed.map(([path]) => path.replace(`${cluster.dataOf(0)}/${VOLUME}/0/`, ''))).toEqual(['control']);
    await restart(2);
    await cluster.until(0, (state) => state.phase === 'READY' && state.scl === writer.end.lsn);
    expect(await cluster.page(0, { ...REL, block: 3 }, writer.end.lsn, 2n)).toBe(4);
  });

  it('is another in a copy that is made anew from peers', async () => {
    await begin(1);
    const [old] = cluster.daemon(0).segments;
    const before = old?.control.encryption?.wrappedKey;
    await cluster.stopDaemon(0);
    writer.drop(0);
    fs.rmSync(cluster.dataOf(0), { recursive: true });
    await cluster.startDaemon(0);
    await cluster.until(0, (state) => state.phase === 'READY' && state.scl === writer.end.lsn);
    const [fresh] = cluster.daemon(0).segments;
    expect(fresh?.control.encryption?.wrappedKey).not.toBe(before);
    expect(await cluster.page(0, { ...REL, block: 3 }, writer.end.lsn, 2n)).toBe(4);
  });
});
