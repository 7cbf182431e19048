import { systemClock } from '@kube-aurora/clock';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodePageKey, postgres18 } from '@kube-aurora/redo';
import { AuroraRpcError, fromServiceError, PeerClient, type SegmentState } from '@kube-aurora/rpc';
import { EPOCH_STEP_MAX, HISTORY_MAX, type EpochStart } from '@kube-aurora/volume';
import { systemDisk } from './disk/system-disk.ts';
import { readControl, writeControl } from './segment/control-file.ts';
import { batchAfter, imageRecord, syntheticState, type ChainEnd } from './testing/synthetic-records.ts';
import { DEADLINE, SEGMENT, TestCluster, VOLUME, type TestWriter } from './testing/test-cluster.ts';

/**
 * Messages that nobody honest sends, of every kind, to real daemons that hold acknowledged redo: nothing of them is
 * saved, shown or passed on, they are counted and named, and a restart of all changes nothing about that.
 */

const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const ALL = [0, 1, 2];
const HUGE = 2n ** 64n - 1n;

let cluster: TestCluster;
let base: ChainEnd;
let writer: TestWriter;
let peer: PeerClient;

/** What the daemons have promised and hold: control files byte by byte, and what they say. */
async function standing(): Promise<unknown[]> {
  const all: unknown[] = [];
  for (const i of ALL) {
    const { epoch, history, scl, appliedLsn, vdl, phase, lastBatchEpoch, fault } = await cluster.status(i);
    const control = fs.readFileSync(join(cluster.dataOf(i), VOLUME, '0', 'control')).toString('latin1');
    all.push({ i, epoch, history, scl, appliedLsn, vdl, phase, lastBatchEpoch, fault, control });
  }
  return all;
}

async function refusals(i: number): Promise<number> {
  const metrics = await cluster.daemon(i).metrics.registry.metrics();
  const counts = metrics.matchAll(/^aurora_storage_refused_messages_total\{[^}]*\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

async function errorOf(call: Promise<unknown>): Promise<AuroraRpcError> {
  const error = await call.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  if (!(error instanceof AuroraRpcError)) throw new Error(`was taken: ${String(error)}`);
  return error;
}

/** The error that an Append stream ends with, or the text of the answer that refuses. */
function hello(epoch: bigint, history: EpochStart[], writerId = 'stranger'): Promise<unknown> {
  const stream = cluster.client(0).append();
  return new Promise((resolve, reject) => {
    stream.on('error', (error: unknown) => reject(fromServiceError(error, 'd0')));
    stream.on('data', (answer) => {
      if (answer.result === 'FENCED') reject(new AuroraRpcError('FENCED', answer.message));
      else resolve(answer);
    });
    stream.write({ hello: { role: 'FULL', segment: SEGMENT, epoch, writerId, history }, batches: undefined, vdl: 0n, pgmrpl: 0n });
  }).finally(() => {
    stream.on('error', () => undefined);
    stream.cancel();
  });
}

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _chunk of stream);
}

beforeEach(async () => {
  cluster = await TestCluster.start(3);
  base = await cluster.import(1n, ALL);
  writer = await cluster.open(2n, 'w/1', base, [{ epoch: 1n, startLsn: base.lsn }], ALL);
  for (let i = 0; i < 20; i++) await writer.append([imageRecord(REL, i, i + 1)], ALL);
  writer.points(ALL);
  for (const i of ALL) await cluster.until(i, (state) => state.appliedLsn === writer.end.lsn);
  peer = new PeerClient(cluster.list[0]?.address ?? '', systemClock());
});

afterEach(async () => {
  peer.close();
  writer.close();
  await cluster.stop();
});

/** Histories that no honest opener can come with, and the rule that each breaks. */
function badHistories(): [string, EpochStart[]][] {
  const { lsn } = writer.end;
  const own = writer.history;
  return [
    ['annuls acknowledged redo', [...own, { epoch: 3n, startLsn: lsn - 4000n }]],
    ['annuls all of it', [...own, { epoch: 3n, startLsn: base.lsn }]],
    [
      'has not seen the writer',
      [
        { epoch: 1n, startLsn: base.lsn },
        { epoch: 3n, startLsn: lsn },
      ],
    ],
    ['jumps', [...own, { epoch: 3n + EPOCH_STEP_MAX, startLsn: lsn }]],
    ['uses up the numbers', [...own, { epoch: HUGE, startLsn: lsn }]],
    ['goes back', [...own, { epoch: 3n, startLsn: 1n }]],
    ['has an LSN that is none', [...own, { epoch: 3n, startLsn: HUGE }]],
    ['is too long', [...own, ...Array.from({ length: HISTORY_MAX }, (_, index) => ({ epoch: BigInt(index + 3), startLsn: lsn }))]],
  ];
}

/** Every message, with something in it that is not to be believed. */
async function attack(): Promise<{ what: string; error: AuroraRpcError }[]> {
  const client = cluster.client(0);
  const errors: { what: string; error: AuroraRpcError }[] = [];
  const refused = async (what: string, call: () => Promise<unknown>): Promise<void> => {
    try {
      errors.push({ what, error: await errorOf(call()) });
    } catch (error) {
      throw new Error(`${what}: ${String(error)}`, { cause: error });
    }
  };
  for (const [what, history] of badHistories()) {
    const epoch = history.at(-1)?.epoch ?? 0n;
    await refused(`InstallHistory ${what}`, () => client.installHistory({ segment: SEGMENT, epoch, history }, DEADLINE));
    await refused(`AppendHello ${what}`, () => hello(epoch, history));
  }
  await refused('InstallHistory empty', () => client.installHistory({ segment: SEGMENT, epoch: 3n, history: [] }, DEADLINE));
  for (const epoch of [HUGE, 2n ** 62n, 3n + EPOCH_STEP_MAX])
    await refused(`OpenEpoch ${epoch}`, () =>
      client.openEpoch({ role: 'FULL', segment: SEGMENT, epoch, writerId: 'stranger', leaseMs: 0 }, DEADLINE),
    );
  await refused('OpenEpoch writer_id', () =>
    client.openEpoch({ role: 'FULL', segment: SEGMENT, epoch: 3n, writerId: 'a'.repeat(100_000), leaseMs: 0 }, DEADLINE),
  );
  await refused('AppendHello writer_id', () => hello(2n, writer.history, 'a\nb'));
  await refused('CatchUp', () => client.catchUp({ segment: SEGMENT, lsn: HUGE }, DEADLINE));
  const pageKey = encodePageKey({ ...REL, block: 0 });
  const pages = { segment: SEGMENT, epoch: 2n, lsn: writer.end.lsn, keys: [pageKey] };
  const badKeys = [[], Array.from({ length: 5000 }, () => pageKey), [encodePageKey({ ...REL, fork: 77, block: 0 })], [Buffer.alloc(16)]];
  for (const change of [...badKeys.map((keys) => ({ keys })), { lsn: HUGE }, { lsn: 0n }, { epoch: HUGE }])
    await refused(`GetPages ${Object.keys(change).join()}`, () => client.getPages({ ...pages, ...change }, DEADLINE));
  await refused('ComputeImage', () => drain(client.computeImage({ segment: SEGMENT, epoch: 2n, lsn: HUGE }, DEADLINE)));
  const follow = (readerId: string, points: { takenLsn: bigint; readFloor: bigint }, promotionTier = 0): Promise<unknown> =>
    new Promise((_, reject) => {
      const stream = client.follow();
      stream.on('error', reject);
      stream.write({ hello: { segment: SEGMENT, readerId, wants: 'REDO', promotionTier }, ...points });
    });
  const points = { takenLsn: base.lsn, readFloor: base.lsn };
  for (const change of [{ takenLsn: HUGE }, { takenLsn: 0n }, { readFloor: HUGE }])
    await refused(`Follow ${Object.keys(change).join()}`, () => follow('reader', { ...points, ...change }));
  await refused('Follow reader_id', () => follow('a\nb', points));
  await refused('Follow reader_id that is none', () => follow('', points));
  await refused('Follow promotion_tier', () => follow('reader', points, 16));
  const { encoded } = syntheticState(base.lsn);
  for (const epoch of [3n, HUGE])
    await refused(`ImportBase ${epoch}`, () => {
      const { call, answer } = client.importBase(DEADLINE);
      call.write({
        begin: {
          role: 'FULL',
          segment: SEGMENT,
          epoch,
          baseLsn: base.lsn,
          systemIdentifier: 9n,
          volumeState: encoded,
          engine: postgres18.id,
        },
        pages: [],
        finish: true,
      });
      call.end();
      return answer;
    });
  await refused('FetchRedo', () => drain(peer.fetchRedo({ segment: SEGMENT, fromLsn: HUGE, fromEpoch: 2n, toLsn: 0n }, DEADLINE)));
  await refused('FetchRedo epoch', () =>
    drain(peer.fetchRedo({ segment: SEGMENT, fromLsn: base.lsn, fromEpoch: HUGE, toLsn: 0n }, DEADLINE)),
  );
  await refused('CopySegment', () => drain(peer.copySegment({ segment: { volumeId: '../../etc', pg: 0 } }, DEADLINE)));
  await refused('GetPeerPage', () => peer.getPeerPage({ segment: SEGMENT, key: Buffer.alloc(17, 0xaa), lsn: 1n }, DEADLINE));
  await refused('Status', () => client.status({ volumeId: 'x', pg: 0 }, DEADLINE));
  const state: SegmentState = { ...(await cluster.status(1)), daemonId: 'd1' };
  for (const change of [{ daemonId: 'nobody' }, { vdl: HUGE }, { scl: 1n }, { epoch: HUGE }, { epoch: 1n }, { zone: 'z'.repeat(9999) }])
    await refused(`Gossip ${Object.keys(change).join()}`, () =>
      peer.gossip({ segment: SEGMENT, state: { ...state, ...change } }, DEADLINE),
    );
  return errors;
}

/** Gossip in a peer's name that has the right form: it is answered, and the peer itself asked. */
async function gossipInDisguise(): Promise<void> {
  const { lsn } = writer.end;
  for (const name of ['d1', 'd2']) {
    const state: SegmentState = { ...(await cluster.status(1)), daemonId: name };
    for (const [, history] of badHistories().slice(0, 3)) {
      const epoch = history.at(-1)?.epoch ?? 0n;
      await peer.gossip({ segment: SEGMENT, state: { ...state, epoch, history } }, DEADLINE);
    }
    // A later epoch that would fence the writer, and points ahead of all.
    const later = [...writer.history, { epoch: 3n, startLsn: lsn }];
    await peer.gossip({ segment: SEGMENT, state: { ...state, epoch: 3n, history: later } }, DEADLINE);
    await peer.gossip({ segment: SEGMENT, state: { ...state, scl: lsn + 9000n, vdl: lsn + 9000n, pgmrpl: lsn + 9000n } }, DEADLINE);
  }
}

describe('strangers', () => {
  it('change nothing, are named and counted, before and after a restart of all', async () => {
    const before = await standing();
    const errors = await attack();
    for (const { what, error } of errors) {
      expect(['INVALID', 'REFUSED'], `${what}: ${error.message}`).toContain(error.code);
      expect(error.message, what).toMatch(/[a-z_.]+(\[\d+\])?[a-z_.]*: /);
    }
    expect(await refusals(0)).toBe(errors.length);
    await gossipInDisguise();
    expect(await standing()).toEqual(before);
    for (const i of ALL) {
      await cluster.stopDaemon(i);
      writer.drop(i);
    }
    for (const i of ALL) await cluster.startDaemon(i);
    // Nobody has told them since what is durable, and no checkpoint was made: they know it of themselves.
    await attack();
    await gossipInDisguise();
    for (const i of ALL) await cluster.until(i, (state) => state.appliedLsn === writer.end.lsn && state.scl === writer.end.lsn);
    expect(await standing()).toEqual(before);
    // The writer goes on where it was, on all of them.
    const lsns = await writer.append([imageRecord(REL, 3, 99)], ALL);
    writer.points(ALL);
    for (const i of ALL) expect(await cluster.page(i, { ...REL, block: 3 }, lsns.at(-1) ?? 0n, 2n)).toBe(99);
  });

  it('leave nothing behind that a restart annuls redo by: a history on disk that contradicts it stops that segment, whole', async () => {
    await cluster.stopDaemon(0);
    writer.drop(0);
    // What a release that saved before it checked has on its disk.
    const path = join(cluster.dataOf(0), VOLUME, '0', 'control');
    const read = readControl(systemDisk(), path);
    if (read === undefined) throw new Error('d0 has no control file');
    const history = [...read.control.history, { epoch: 3n, startLsn: base.lsn }];
    await writeControl(systemDisk(), path, { ...read.control, epoch: 3n, history });
    await cluster.startDaemon(0);
    const state = await cluster.until(0, (one) => one.phase === 'DAMAGED');
    expect(state.fault).toEqual({ kind: 'HISTORY_REFUSED', epoch: 3n, startLsn: base.lsn, durableLsn: writer.end.lsn });
    // Its peers go on without it, and take nothing of it.
    await writer.append([imageRecord(REL, 1, 50)], [1, 2]);
    for (const i of [1, 2]) expect((await cluster.status(i)).history).toEqual(writer.history);
    // Its redo is all there: with the right history it is as before.
    await cluster.stopDaemon(0);
    await writeControl(systemDisk(), path, read.control);
    await cluster.startDaemon(0);
    await cluster.until(0, (one) => one.phase === 'READY' && one.scl === writer.end.lsn && one.fault === undefined);
  });

  it('refuses a batch that does not fit, by its field, and goes on', async () => {
    const { batch } = batchAfter({ lsn: writer.end.lsn, epoch: 1n }, 2n, [imageRecord(REL, 0, 7)]);
    const before = await standing();
    writer.stream(0).stream.write({ hello: undefined, batches: batch, vdl: 0n, pgmrpl: 0n });
    await expect.poll(() => writer.stream(0).answers.at(-1)).toMatchObject({ result: 'REFUSED', message: /batch\.backlink/ });
    const torn = Buffer.from(batch);
    torn[80] = (torn[80] ?? 0) ^ 1;
    writer.stream(0).stream.write({ hello: undefined, batches: torn, vdl: 0n, pgmrpl: 0n });
    await expect.poll(() => writer.stream(0).answers.at(-1)?.message).toMatch(/payloadCrc/);
    expect(await standing()).toEqual(before);
  });

  it('make no state and no metrics with volumes that they make up', async () => {
    const client = cluster.client(0);
    const made = (index: number): string => `00000000-0000-4000-8000-${index.toString(16).padStart(12, '0')}`;
    const state = await cluster.status(1);
    for (let index = 0; index < 300; index++) {
      const segment = { volumeId: made(index), pg: index };
      expect(await client.status(segment, DEADLINE)).toMatchObject({ phase: 'EMPTY', epoch: 0n });
      expect((await errorOf(client.catchUp({ segment, lsn: 1n }, DEADLINE))).code).toBe('NOT_READY');
      await peer.gossip({ segment, state: { ...state, daemonId: 'd1' } }, DEADLINE);
    }
    expect([...cluster.daemon(0).segments]).toHaveLength(1);
    expect(fs.readdirSync(cluster.dataOf(0))).toEqual([VOLUME]);
    expect(await cluster.daemon(0).metrics.registry.metrics()).not.toContain('00000000-0000-4000-8000');
    // A promise makes a segment: only so many.
    let refused = 0;
    for (let index = 0; index < 80; index++) {
      await client
        .openEpoch({ role: 'FULL', segment: { volumeId: made(index), pg: 0 }, epoch: 1n, writerId: 'stranger', leaseMs: 0 }, DEADLINE)
        .catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'REFUSED', message: /takes no more/ });
          refused++;
        });
    }
    expect(refused).toBe(17);
  });
});
