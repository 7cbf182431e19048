import { systemClock } from '@kube-aurora/clock';
import { AuroraRpcError, encodeAppendRequest, SegmentClient, type AppendResponse, type AppendStream } from '@kube-aurora/rpc';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Relay } from './testing/relay.ts';
import { batchAfter, imageRecord, type ChainEnd } from './testing/synthetic-records.ts';
import { SEGMENT, TestCluster } from './testing/test-cluster.ts';

/** A connection that is lost in the middle of a frame, or in one direction, between a writer and a real daemon. */

const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const EPOCH = 2n;
/** proto/frames.md */
const FRAME_HEADER_BYTES = 12;

let cluster: TestCluster;
let relay: Relay;
let client: SegmentClient;
let end: ChainEnd;
let history: { epoch: bigint; startLsn: bigint }[];

beforeEach(async () => {
  cluster = await TestCluster.start(1);
  const base = await cluster.import(1n, [0]);
  const writer = await cluster.open(EPOCH, 'w/1', base, [{ epoch: 1n, startLsn: base.lsn }], [0]);
  ({ history, end } = writer);
  relay = await Relay.to(cluster.daemon(0).framesPort);
  client = new SegmentClient({ ...cluster.addresses(0), framesAddress: `127.0.0.1:${relay.port}` }, systemClock());
});
afterEach(async () => {
  client.close();
  relay.close();
  await cluster.stop();
});

interface Attached {
  readonly stream: AppendStream;
  readonly answers: AppendResponse[];
  readonly errors: unknown[];
}

async function attach(): Promise<Attached> {
  const stream = client.append();
  const attached = { stream, answers: [] as AppendResponse[], errors: [] as unknown[] };
  stream.on('data', (answer) => attached.answers.push(answer));
  stream.on('error', (error) => attached.errors.push(error));
  stream.write({
    hello: { role: 'FULL', segment: SEGMENT, epoch: EPOCH, writerId: 'w/1', history },
    batches: undefined,
    vdl: 0n,
    pgmrpl: 0n,
  });
  await expect.poll(() => attached.answers.length + attached.errors.length).toBe(1);
  return attached;
}

/** Attaches again until it can: the daemon is there, and the connection is made anew. */
async function attachAgain(): Promise<Attached> {
  for (;;) {
    const attached = await attach();
    if (attached.answers.length > 0) return attached;
  }
}

const scl = async (): Promise<bigint> => (await cluster.status(0)).scl;

it('a batch of which a part arrived is not stored, wherever the connection ends; the next connection goes on after the last whole one', async () => {
  const image = batchAfter(end, EPOCH, [imageRecord(REL, 0, 1)]);
  const message = encodeAppendRequest([image.batch], 0n, 0n);
  // In the header, behind it, in the batch, and before its last byte.
  for (const cutAt of [1, 11, 12, 20, 700, message.length + 11]) {
    const attached = await attachAgain();
    expect(attached.answers[0]?.scl).toBe(end.lsn);
    relay.cutAfter(cutAt);
    attached.stream.write(message);
    await expect.poll(() => attached.errors[0]).toBeInstanceOf(AuroraRpcError);
    expect(relay.forwardedBytes).toBe(cutAt);
    expect(await scl()).toBe(end.lsn);
    relay.heal();
  }
  const attached = await attachAgain();
  attached.stream.write(message);
  await expect.poll(() => attached.answers.at(-1)?.scl).toBe(image.end.lsn);
});

it('of redo in several frames the whole batches before the cut stay, and no more', async () => {
  const attached = await attach();
  const batches: Buffer[] = [];
  const ends = [end.lsn];
  for (let index = 0; index < 30; index++) {
    const made = batchAfter(end, EPOCH, [imageRecord(REL, index, index + 1)]);
    batches.push(made.batch);
    ends.push(made.end.lsn);
    end = made.end;
  }
  // 30 batches of 8 KiB in one message are four frames and a half: none of it counts before all of it is there.
  relay.cutAfter(100_000);
  attached.stream.write(encodeAppendRequest(batches, 0n, 0n));
  await expect.poll(() => attached.errors.length).toBe(1);
  expect(await scl()).toBe(ends[0]);
  relay.heal();
  const again = await attachAgain();
  const each = batches.map((batch) => encodeAppendRequest([batch], 0n, 0n));
  relay.cutAfter(100_000);
  for (const message of each) again.stream.write(message);
  await expect.poll(() => again.errors.length).toBe(1);
  let sent = 0;
  const whole = each.filter((message) => (sent += FRAME_HEADER_BYTES + message.length) <= 100_000).length;
  expect(whole).toBeGreaterThan(5);
  await expect.poll(async () => ends.indexOf(await scl())).toBe(whole);
});

it('an acknowledgement that is lost costs nothing: what is sent again is there already', async () => {
  const attached = await attach();
  const made = batchAfter(end, EPOCH, [imageRecord(REL, 0, 1)]);
  const message = encodeAppendRequest([made.batch], 0n, 0n);
  relay.holdsAnswers = true;
  attached.stream.write(message);
  await expect.poll(scl).toBe(made.end.lsn);
  expect(attached.answers).toHaveLength(1);
  relay.cut();
  relay.heal();
  const again = await attachAgain();
  expect(again.answers[0]?.scl).toBe(made.end.lsn);
  again.stream.write(message);
  const next = batchAfter(made.end, EPOCH, [imageRecord(REL, 1, 2)]);
  again.stream.write(encodeAppendRequest([next.batch], made.end.lsn, 0n));
  await expect.poll(() => again.answers.at(-1)).toMatchObject({ result: 'OK', scl: next.end.lsn });
  expect(again.answers.every(({ result }) => result === 'OK')).toBe(true);
});

it('a network that holds everything, both ways, is noticed at both ends by their heartbeats, and made up for', async () => {
  const attached = await attach();
  const before = cluster.daemon(0).metrics;
  relay.holdsAnswers = true;
  relay.holdsRequests = true;
  const made = batchAfter(end, EPOCH, [imageRecord(REL, 0, 1)]);
  attached.stream.write(encodeAppendRequest([made.batch], 0n, 0n));
  // 10 s of silence, and 5 s more for an answer.
  await expect.poll(() => attached.errors[0], { timeout: 45_000 }).toMatchObject({ code: 'UNREACHABLE' });
  // Both ends count the same ten seconds: the one that is later may find that the other has closed.
  expect(String(attached.errors[0])).toMatch(/nothing came for|the other end closed/);
  const connections = async (): Promise<string | undefined> =>
    /^aurora_storage_frame_connections (\d+)$/m.exec(await before.registry.metrics())?.[1];
  await expect.poll(connections).toBe('0');
  expect(await scl()).toBe(end.lsn);
  relay.heal();
  const again = await attachAgain();
  again.stream.write(encodeAppendRequest([made.batch], 0n, 0n));
  await expect.poll(() => again.answers.at(-1)?.scl).toBe(made.end.lsn);
});
