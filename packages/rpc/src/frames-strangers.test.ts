import { connect } from 'node:net';
import { systemClock } from '@kube-aurora/clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PLAIN_TEXT } from './credentials.ts';
import { appendTo, FixtureDaemon, HELLO, pagesOf } from './fixture-daemon.ts';
import { FramesClient } from './frames-client.ts';
import { FRAMES_LIMITS, type FramesListener } from './frames-server.ts';

/** What anybody may have of a daemon's port of the hot path. */

const daemon = new FixtureDaemon();
const { reads, refused } = daemon;
let listener: FramesListener;
let client: FramesClient;

beforeEach(() => daemon.reset());
afterEach(() => {
  client.close();
  listener.close();
});

describe('somebody whom nobody knows', () => {
  beforeEach(async () => {
    listener = await daemon.listen(PLAIN_TEXT);
    client = new FramesClient(`127.0.0.1:${listener.port}`, systemClock(), PLAIN_TEXT);
  });

  it('has so many reads worked on, given up or not, and the others after them', async () => {
    daemon.holdsReads = true;
    const caller = new AbortController();
    const first = Array.from({ length: 100 }, () =>
      client.getPages(pagesOf(1), { deadlineMs: 60_000, signal: caller.signal }).catch(() => undefined),
    );
    await expect.poll(() => reads.length).toBe(64);
    caller.abort();
    await Promise.all(first);
    const second = client.getPages(pagesOf(2), { deadlineMs: 60_000 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    // Work that cannot be stopped still counts: who asks and gives up gets no more done at once than who waits.
    expect(reads).toHaveLength(64);
    daemon.holdsReads = false;
    for (const { answer } of reads) answer();
    expect((await second).present).toHaveLength(2);
    expect(reads).toHaveLength(65);
  });

  it('has so many bytes of pages made that it does not read', async () => {
    const socket = connect(listener.port, '127.0.0.1');
    const silent = new FramesClient(`127.0.0.1:${listener.port}`, systemClock(), { ...PLAIN_TEXT, connect: () => socket });
    await silent.getPages(pagesOf(1), { deadlineMs: 60_000 });
    socket.pause();
    for (let index = 0; index < 100; index++) silent.getPages(pagesOf(256), { deadlineMs: 60_000 }).catch(() => undefined);
    // What the kernel takes on both sides is not ours, and goes on being made until that is full.
    await expect.poll(() => reads.length).toBeGreaterThan(8);
    let before = 0;
    await expect.poll(() => before === (before = reads.length), { interval: 300 }).toBe(true);
    const made = reads.length * 256 * 8192;
    expect(made - listener.traffic().sentBytes).toBeLessThanOrEqual(18 * 1024 * 1024);
    expect(reads.length).toBeLessThan(60);
    silent.close();
    socket.destroy();
  });

  it('has so many Append streams', async () => {
    const streams = Array.from({ length: FRAMES_LIMITS.appendStreams + 1 }, () => appendTo(client));
    for (const stream of streams) stream.write(HELLO);
    await expect.poll(() => streams.at(-1)?.errors[0]).toMatchObject({ code: 'REFUSED' });
    expect(refused[0]).toMatch(/^Append too-many: append: 32 streams/);
    streams[0]?.cancel();
    const another = appendTo(client);
    another.write(HELLO);
    await expect.poll(() => another.answers.length).toBe(1);
  });

  it('has so many connections, and is counted', async () => {
    const sockets = Array.from({ length: 15 }, () => connect(listener.port, '127.0.0.1').on('error', () => undefined));
    await expect.poll(() => daemon.turnedAway).toBe(5);
    for (const socket of sockets) socket.destroy();
    await expect
      .poll(() =>
        client.getPages(pagesOf(1), { deadlineMs: 5000 }).then(
          () => true,
          () => false,
        ),
      )
      .toBe(true);
  });

  it('is told what is wrong with its messages, and counted by the rule', async () => {
    const socket = connect(listener.port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\n\r\n');
    await new Promise((resolve) => socket.on('data', () => undefined).once('close', resolve));
    await expect.poll(() => refused[0]).toMatch(/^frames not-frames: the other end does not speak frames/);
    const stream = appendTo(client);
    stream.write(HELLO);
    await expect.poll(() => stream.answers.length).toBe(1);
    stream.write(Buffer.from('short'));
    await expect
      .poll(() => stream.errors[0])
      .toMatchObject({ code: 'INVALID', message: expect.stringContaining('append: 5 bytes') as string });
    expect(refused[1]).toMatch(/^Append malformed: append: 5 bytes, at least 16 are due/);
  });
});
