import { beforeEach, describe, expect, it } from 'vitest';
import { AuroraRpcError, type AppendResponse, type SegmentState } from '@kube-aurora/rpc';
import { batchesIn, countsForWriter, OpenProtocol, QuorumTracker, WRITE_QUORUM, type OpenRequest } from '@kube-aurora/volume';
import { batchAfter, syntheticRecord, type ChainEnd } from '../../storage-daemon/src/testing/synthetic-records.ts';
import { SEGMENT } from '../simulation/storage.ts';
import { syntheticVolume } from '../simulation/synthetic-volume.ts';
import { DriverWorld, type Compute } from './driver-world.ts';

/**
 * Courses of events that random ones seldom come upon: each is the one that a rule of the protocol is there for. The
 * daemons are those that ship; the test says which of them a writer reaches, and which peers hear of one another and
 * when.
 */

const ALL = [0, 1, 2, 3, 4, 5];
const CALL_MS = 2000;
const BASE: ChainEnd = { lsn: syntheticVolume().baseLsn, epoch: 1n };

let world: DriverWorld;
let hand: Compute;

beforeEach(async () => {
  world = new DriverWorld();
  await world.importVolume();
  world.cutPeers();
  hand = world.compute();
});

/** A writer, as far as it opens the volume and appends. */
class Writer {
  readonly name: string;
  readonly protocol = new OpenProtocol();

  constructor(name: string) {
    this.name = name;
  }

  /** Takes the opener as far as it comes with the segments that it reaches now. */
  async open(reached: readonly number[], until: OpenProtocol['step'] = 'opened'): Promise<void> {
    const { protocol } = this;
    // An opener takes a few rounds; one that is stuck asks the same again.
    for (let round = 0; round < 8 && protocol.step !== until; round++) {
      for (const index of reached) {
        const request = protocol.wanted(index);
        if (request === undefined || protocol.step === until) continue;
        try {
          protocol.answer(index, request, await world.until(this.#call(index, request)));
        } catch (error) {
          if (!(error instanceof AuroraRpcError)) throw error;
          protocol.fail(index, request, error.code === 'FENCED' || error.code === 'EPOCH_TAKEN' ? 'overtaken' : 'unavailable');
        }
      }
      protocol.endGrace();
    }
  }

  #call(index: number, request: OpenRequest): Promise<SegmentState> {
    const { client } = endpoint(index);
    const options = { deadlineMs: CALL_MS };
    switch (request.kind) {
      case 'status':
      case 'confirm':
      case 'recheck':
        return client.status(SEGMENT, options);
      case 'open-epoch':
        return client.openEpoch({ role: 'FULL', segment: SEGMENT, epoch: request.epoch, writerId: this.name, leaseMs: 0 }, options);
      case 'install-history':
        return client.installHistory({ segment: SEGMENT, epoch: request.epoch, history: [...request.history] }, options);
      case 'catch-up':
        return client.catchUp({ segment: SEGMENT, lsn: request.lsn }, options);
    }
  }

  /**
   * Greets the segments with its history, as on a new stream, and sends one batch that follows `link`. Gives its end.
   */
  async append(to: readonly number[], link: ChainEnd): Promise<ChainEnd> {
    const { epoch, history, startLsn } = this.protocol;
    const { batch, end } = batchAfter(link, epoch, [syntheticRecord(40)]);
    for (const index of to) {
      const stream = endpoint(index).client.append();
      const answers: AppendResponse[] = [];
      let isOver = false;
      stream.on('data', (response) => answers.push(response));
      stream.on('error', () => (isOver = true));
      stream.write({
        hello: { role: 'FULL', segment: SEGMENT, epoch, writerId: this.name, history: [...history] },
        batches: undefined,
        vdl: startLsn,
        pgmrpl: startLsn,
      });
      stream.write({ hello: undefined, batches: batch, vdl: startLsn, pgmrpl: startLsn });
      await world.holds(() => isOver || answers.length === 2);
      expect(isOver ? 'refused' : answers.at(-1)?.result).toBe('OK');
      stream.end();
    }
    return end;
  }

  /** Would it acknowledge the batch that ends there, if it heard where each segment stands now? */
  acknowledges({ lsn }: ChainEnd): boolean {
    const { startLsn, epoch } = this.protocol;
    const tracker = new QuorumTracker(startLsn);
    world.states().forEach((state, index) => {
      if (state !== undefined && countsForWriter(state, epoch)) tracker.acknowledge(index, state.scl);
    });
    return tracker.point >= lsn;
  }
}

function endpoint(index: number): Compute['segments'][number] {
  const found = hand.segments[index];
  if (found === undefined) throw new RangeError(`no segment ${index}`);
  return found;
}

/** One daemon and these hear of each other, until they have no more to tell. */
async function gossip(from: number, to: readonly number[]): Promise<void> {
  world.network.heal();
  for (const a of world.storage)
    for (const b of world.storage) {
      const talk = (a.index === from && to.includes(b.index)) || (b.index === from && to.includes(a.index));
      if (a !== b && !talk) world.network.cut(a, b);
    }
  await world.pass(10_000);
  world.cutPeers();
}

/** Who has the batch of that epoch that ends there. */
async function holders({ lsn, epoch }: ChainEnd): Promise<number[]> {
  const found: number[] = [];
  for (const { index, segment } of world.storage) {
    for await (const stretch of segment?.storage?.redoFrom(BASE) ?? [])
      for (const { header } of batchesIn(stretch)) if (header.endLsn === lsn && header.epoch === epoch) found.push(index);
  }
  return found;
}

/** First writer, with its batch `one` on these segments. */
async function firstWriter(reached: readonly number[]): Promise<{ first: Writer; one: ChainEnd }> {
  const first = new Writer('first');
  await first.open(reached);
  expect(first.protocol.step).toBe('opened');
  return { first, one: await first.append(reached, { lsn: first.protocol.startLsn, epoch: first.protocol.previousEpoch() }) };
}

/**
 * The first writer's second batch is on two segments when a second opener gets its promises from the four others. Two
 * of these then have that batch from their peers, and tell the first writer so, which has not heard that it is fenced.
 */
describe('an SCL counts only with the writer’s own epoch', () => {
  it('redo that came after the promise is acknowledged to nobody, or kept', async () => {
    const { first, one } = await firstWriter(ALL);
    const two = await first.append([4, 5], one);
    const second = new Writer('second');
    await second.open([0, 1, 2, 3], 'install-history');
    await gossip(4, [0, 1]);
    expect(await holders(two)).toEqual([0, 1, 4, 5]);
    const acknowledged = first.acknowledges(two);
    await second.open([0, 1, 2, 3]);
    expect(second.protocol.step).toBe('opened');
    await second.append(ALL, one);
    await gossip(0, [4, 5]);
    expect(acknowledged).toBe(false);
    expect(await holders(two)).toEqual([]);
    expect(await holders(one)).toEqual(ALL);
  });
});

/**
 * Two segments hold redo of the first writer past the second's start. They promise the second writer late, and miss its
 * history: their SCL is ahead of its first batch, and they hold none of it.
 */
describe('an SCL counts only with the writer’s own history', () => {
  it('redo of another history makes up no quorum, and counts once the history is there', async () => {
    const { first, one } = await firstWriter(ALL);
    await first.append([4, 5], await first.append([4, 5], one));
    const second = new Writer('second');
    await second.open([0, 1, 2, 3]);
    const { epoch } = second.protocol;
    for (const index of [4, 5])
      await world.until(
        endpoint(index).client.openEpoch(
          { role: 'FULL', segment: SEGMENT, epoch, writerId: second.name, leaseMs: 0 },
          { deadlineMs: CALL_MS },
        ),
      );
    const two = await second.append([0, 1], one);
    for (const index of [4, 5]) expect(world.state(index)?.scl).toBeGreaterThan(two.lsn);
    expect(second.acknowledges(two)).toBe(false);

    const third = new Writer('third');
    await third.open([2, 3, 4, 5]);
    expect(third.protocol.step).toBe('opened');
    const three = await third.append(ALL, one);
    // The rule is no refusal for good.
    expect(third.acknowledges(three)).toBe(true);
    expect(await holders(two)).toEqual([]);
  });
});

/**
 * One segment alone holds the log's last batch. An opener that did not hear of it left its history on a single segment
 * and died. The next one hears of the batch and chooses its end; only then does that history reach the segment that
 * holds it.
 */
describe('a segment takes no history older than its promise', () => {
  it('a history that came after the promise does not take from an opener what it has chosen', async () => {
    const { first, one } = await firstWriter(ALL);
    const two = await first.append([0], one);
    const died = new Writer('died');
    await died.open([1, 2, 3, 4], 'install-history');
    const { epoch, history } = died.protocol;
    await world.until(endpoint(4).client.installHistory({ segment: SEGMENT, epoch, history: [...history] }, { deadlineMs: CALL_MS }));
    const second = new Writer('second');
    await second.open([0, 1, 2, 3], 'install-history');
    expect(second.protocol.startLsn).toBe(two.lsn);
    await gossip(4, [0]);
    expect(await holders(two)).toEqual([0]);
    await second.open([0, 1, 2, 3], 'catch-up');
    await gossip(0, [1, 2, 3]);
    await second.open([0, 1, 2, 3]);
    expect(second.protocol.step).toBe('opened');
    expect(await holders(two)).toEqual([0, 1, 2, 3]);
  });
});

/**
 * Four segments hold an acknowledged batch when three of them hear from one that was away since before its writer
 * opened.
 */
describe('a segment takes no history older than its own', () => {
  it('a history of long ago annuls nothing', async () => {
    const { first, one } = await firstWriter([0, 1, 2, 3]);
    expect(first.acknowledges(one)).toBe(true);
    await gossip(5, [0, 1, 2]);
    const holding = await holders(one);
    expect(holding.length).toBeGreaterThanOrEqual(WRITE_QUORUM);
    const second = new Writer('second');
    await second.open([0, 1, 2, 5]);
    await gossip(0, [5]);
    await second.open([0, 1, 2, 5]);
    expect(second.protocol.step).toBe('opened');
    expect(second.protocol.startLsn).toBe(one.lsn);
  });
});
