import { connect, createServer, type Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DATA, END, GOODBYE, MORE, PING, RESET } from './frame-types.ts';
import { encodeHello, ownHello } from './hello.ts';
import { LAYOUTS } from './layouts.ts';
import { BYTES, ECHO, frameBytes, HELLO, Heard, openBytes, TestServer } from './testing/test-server.ts';

/** Both ends of a connection over real TCP, and what an end that does not keep to the rules gets. */

const MIB = 1024 * 1024;

let server: TestServer;
const others: Server[] = [];

beforeEach(async () => {
  server = await TestServer.start();
});
afterEach(() => {
  server.close();
  for (const other of others.splice(0)) other.close();
});

const size = (bytes: number): Buffer => {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(bytes, 0);
  return out;
};
const numbered = (bytes: number, seed: number): Buffer => {
  const out = Buffer.alloc(bytes, seed);
  for (let at = 0; at + 4 <= bytes; at += 4096) out.writeUInt32LE(at ^ seed, at);
  return out;
};

describe('streams', () => {
  it('carry messages of any size both ways, in order, and end', async () => {
    const heard = server.open(server.client(), ECHO);
    const messages = [Buffer.from('a'), numbered(5 * MIB + 17, 3), Buffer.from('b'), numbered(70_000, 4), numbered(64 * 1024, 5)];
    for (const message of messages) heard.stream?.write(message);
    heard.stream?.end();
    await expect.poll(() => heard.isEnded).toBe(true);
    const { received = [] } = server.served[0] ?? {};
    expect(received.map((message, index) => message.equals(messages[index] ?? Buffer.alloc(0)))).toEqual(messages.map(() => true));
    expect(heard.messages.map(({ length }) => length)).toEqual([1, `${5 * MIB + 17} bytes`.length, 1, '70000 bytes'.length, 64 * 1024]);
    const long = server.open(server.client(), BYTES, size(5 * MIB));
    await expect.poll(() => long.isEnded).toBe(true);
    expect(long.messages.map(({ length }) => length)).toEqual([5 * MIB + 4]);
    expect(server.served[0]).toMatchObject({ isEnded: true, isFinished: true, isCancelled: false });
    expect(server.served[0]?.first.toString()).toBe('hello');
    expect(heard.drains).toBeGreaterThan(0);
  });

  it('many small messages of one turn come one by one', async () => {
    const heard = server.open(server.client(), ECHO);
    const messages = Array.from({ length: 3000 }, (_, index) => Buffer.from(`message ${index}`));
    for (const message of messages) heard.stream?.write(message);
    await expect.poll(() => heard.messages.length).toBe(messages.length);
    expect(Buffer.concat(heard.messages).equals(Buffer.concat(messages))).toBe(true);
  });

  it('are refused with a code and a text', async () => {
    const heard = server.open(server.client(), 9);
    await expect.poll(() => heard.failure).toEqual({ code: 3, text: 'no kind 9' });
    await expect.poll(() => server.connections[0]?.openStreams).toBe(0);
  });

  it('whose reader does not take them keep to their window, and hold up no other; later all of it comes, in order', async () => {
    const client = server.client();
    const slow = server.open(client, ECHO);
    await expect.poll(() => server.served.length).toBe(1);
    server.served[0]?.stream.pause();
    const messages = Array.from({ length: 60 }, (_, index) => numbered(100_000, index));
    let last = true;
    for (const message of messages) last = slow.stream?.write(message) ?? true;
    expect(last).toBe(false);
    const { receivedBytes: before = 0 } = server.connections[0] ?? {};
    const quick = server.open(client, BYTES, size(3 * MIB));
    await expect.poll(() => quick.isEnded).toBe(true);
    expect(quick.messages[0]).toHaveLength(3 * MIB + 4);
    await delay(100);
    const { receivedBytes = 0 } = server.connections[0] ?? {};
    expect(receivedBytes - before).toBeLessThan(HELLO.windowBytes + 64 * 1024);
    expect(server.served[0]?.receivedBytes).toBe(0);
    server.served[0]?.stream.resume();
    await expect.poll(() => server.served[0]?.received.length).toBe(60);
    expect(server.served[0]?.received.every((message, index) => message.equals(messages[index] ?? Buffer.alloc(0)))).toBe(true);
  });

  it('short messages pass long ones', async () => {
    server.holdAnswers();
    const client = server.client();
    let answersBefore = -1;
    const pages = Array.from({ length: 16 }, () => server.open(client, BYTES, size(4 * MIB)));
    const append = server.open(
      client,
      ECHO,
      Buffer.from('x'),
      new Heard(() => (answersBefore = pages.filter(({ isEnded }) => isEnded).length)),
    );
    await expect.poll(() => server.served.length).toBe(17);
    for (const served of server.served) {
      if (served.kind === BYTES) served.answer();
      else served.stream.say(Buffer.from('acknowledged'));
    }
    await expect.poll(() => pages.every(({ isEnded }) => isEnded)).toBe(true);
    expect(append.messages).toHaveLength(1);
    expect(answersBefore).toBe(0);
  });

  it('long messages take turns: one that is short enough does not wait for those before it', async () => {
    server.holdAnswers();
    const client = server.client();
    const order: number[] = [];
    const sizes = [8 * MIB, 8 * MIB, 100_000];
    for (const bytes of sizes) server.open(client, BYTES, size(bytes), new Heard(() => order.push(bytes)));
    await expect.poll(() => server.served.length).toBe(3);
    for (const served of server.served) served.answer();
    await expect.poll(() => order.length).toBe(3);
    expect(order[0]).toBe(100_000);
  });

  it('that are given up stop at the other end, and make room for those that wait', async () => {
    server.close();
    server = await TestServer.start({ ...HELLO, streamsMax: 2 });
    server.holdAnswers();
    const client = server.client();
    const all = Array.from({ length: 5 }, () => server.open(client, BYTES, size(10)));
    await expect.poll(() => server.served.length).toBe(2);
    // One that was never sent is never seen there.
    all[4]?.stream?.cancel();
    all[0]?.stream?.cancel();
    all[1]?.stream?.cancel();
    await expect.poll(() => server.served.length).toBe(4);
    expect(server.served.map(({ isCancelled }) => isCancelled)).toEqual([true, true, false, false]);
    for (const served of server.served) served.answer();
    await expect.poll(() => all.map(({ isEnded }) => isEnded)).toEqual([false, false, true, true, false]);
    expect(client.isClosed).toBe(false);
    expect(all[0]?.messages).toEqual([]);
  });

  it('given up in the middle of an answer cost no more of it', async () => {
    const client = server.client();
    const heard = server.open(client, BYTES, size(60 * MIB));
    await expect.poll(() => server.served.length).toBe(1);
    heard.stream?.cancel();
    await expect.poll(() => server.served[0]?.isFinished).toBe(true);
    expect(server.connections[0]?.sentBytes).toBeLessThan(60 * MIB);
    const next = server.open(client, BYTES, size(10));
    await expect.poll(() => next.isEnded).toBe(true);
    expect(heard.messages).toEqual([]);
  });
});

describe('a connection', () => {
  it('that ends in the middle of a message gives none of it', async () => {
    const peer = await server.raw();
    peer.socket.write(openBytes(1, ECHO, Buffer.from('first')));
    const message = frameBytes(DATA, 1, MORE, Buffer.alloc(1000, 1));
    peer.socket.write(Buffer.concat([message, frameBytes(DATA, 1, 0, Buffer.alloc(500, 2), 1000)]));
    await expect.poll(() => server.connections[0]?.receivedBytes).toBeGreaterThan(1500);
    peer.socket.destroy();
    await expect.poll(() => server.served[0]?.isCancelled).toBe(true);
    expect(server.served[0]?.received).toEqual([]);
    expect(server.served[0]?.isFinished).toBe(true);
  });

  it('that breaks fails every stream, those that wait too', async () => {
    server.holdAnswers();
    const client = server.client();
    const all = [server.open(client, ECHO), server.open(client, BYTES, size(1))];
    await expect.poll(() => server.served.length).toBe(2);
    server.close();
    await expect.poll(() => all.map(({ brokenBy }) => brokenBy?.reason)).toEqual(['BROKEN', 'BROKEN']);
    expect(server.clientsClosed).toHaveLength(1);
  });

  it('says why it leaves', async () => {
    const client = server.client();
    const heard = server.open(client, ECHO);
    await expect.poll(() => server.served.length).toBe(1);
    server.connections[0]?.close();
    await expect.poll(() => heard.brokenBy?.message).toBe('the other end left: the storage daemon is stopping');
    expect(heard.brokenBy?.reason).toBe('STOPPING');
  });

  it('lives while nothing is said, by heartbeats at the shorter interval', async () => {
    // Half of it is the time for an answer: more than this process is kept from its turn.
    const client = server.client({ ...HELLO, heartbeatMs: 800 });
    const heard = server.open(client, ECHO);
    await expect.poll(() => server.served.length).toBe(1);
    const before = server.connections[0]?.receivedBytes ?? 0;
    await expect.poll(() => server.connections[0]?.receivedBytes).toBeGreaterThan(before + LAYOUTS.frame.size);
    heard.stream?.write(Buffer.from('still here'));
    await expect.poll(() => heard.messages.length).toBe(1);
  });

  it('to somebody who answers nothing is given up', async () => {
    const peer = await server.raw({ heartbeatMs: 200 });
    await expect.poll(() => server.closed[0]?.reason).toBe('SILENT');
    await expect.poll(() => peer.isClosed).toBe(true);
    // And so does a client with a server that has stopped.
    const mute = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write(encodeHello(ownHello({ ...HELLO, heartbeatMs: 200 })));
    });
    others.push(mute);
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const address = mute.address();
    const heard = server.open(server.client(HELLO, typeof address === 'object' && address !== null ? address.port : 0), ECHO);
    await expect.poll(() => heard.brokenBy?.reason).toBe('SILENT');
  });

  it('whose hello does not come is left', async () => {
    server.close();
    server = await TestServer.start(HELLO, 200);
    const peer = await server.raw('no hello');
    await expect.poll(() => server.closed[0]?.message).toBe('no hello in 200 ms');
    await expect.poll(() => peer.isClosed).toBe(true);
  });
});

describe('an end that does not keep to the rules', () => {
  const goodbye = (text: string): string => text.slice(text.indexOf('\n\u001a\n') + 1);

  it.each([
    ['HTTP', 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['gRPC', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ])('speaks %s: is told so in text that it shows, and left', async (_what, text) => {
    const peer = await server.raw('no hello');
    peer.socket.write(text);
    await expect.poll(() => peer.isClosed).toBe(true);
    expect(peer.text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n.*This port speaks kube-aurora's frames.*not HTTP and not gRPC/s);
    expect(server.closed[0]?.reason).toBe('NOT_FRAMES');
  });

  it('speaks another version: both ends know which', async () => {
    const peer = await server.raw({ version: 9, versionMin: 7 });
    await expect.poll(() => peer.isClosed).toBe(true);
    expect(goodbye(peer.text)).toContain('this end speaks version 1 of the frames, the other 7 to 9; upgrade one of them');
    expect(server.closed[0]?.reason).toBe('VERSION');
    const later = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write(encodeHello({ ...ownHello(HELLO), version: 3, versionMin: 2 }));
    });
    others.push(later);
    await new Promise<void>((resolve) => later.listen(0, '127.0.0.1', resolve));
    const address = later.address();
    const heard = server.open(server.client(HELLO, typeof address === 'object' && address !== null ? address.port : 0), ECHO);
    await expect.poll(() => heard.brokenBy?.reason).toBe('VERSION');
    expect(heard.brokenBy?.message).toContain('this end speaks version 1 of the frames, the other 2 to 3');
  });

  it.each([
    ['a stream that was not opened', frameBytes(DATA, 5, 0, Buffer.from('x')), 'frame.stream: 5 was not opened, the last was 1'],
    ['a stream’s number twice', openBytes(1, ECHO, Buffer.from('x')), 'OPEN of 1 after 1'],
    ['an absurd length', frameBytes(DATA, 1, 0, Buffer.alloc(0), 0xffff_ffff), 'frame.length: DATA with 4294967295 bytes'],
    [
      'DATA after END',
      Buffer.concat([frameBytes(DATA, 1, END, Buffer.alloc(0)), frameBytes(DATA, 1, 0, Buffer.from('x'))]),
      'DATA after END',
    ],
  ])('sends %s: it is told, its streams are cancelled, others are not', async (_what, bytes, why) => {
    const bystander = server.open(server.client(), ECHO);
    await expect.poll(() => server.served.length).toBe(1);
    server.holdAnswers();
    const peer = await server.raw();
    peer.socket.write(openBytes(1, BYTES, size(1)));
    await expect.poll(() => server.served.length).toBe(2);
    peer.socket.write(bytes);
    await expect.poll(() => peer.isClosed).toBe(true);
    expect(peer.text).toContain(why);
    await expect.poll(() => server.served[1]?.isFinished).toBe(true);
    bystander.stream?.write(Buffer.from('unhurt'));
    await expect.poll(() => bystander.messages.length).toBe(1);
  });

  it('opens more streams than it may: is left', async () => {
    server.close();
    server = await TestServer.start({ ...HELLO, streamsMax: 3 });
    server.holdAnswers();
    const peer = await server.raw();
    for (let stream = 1; stream <= 4; stream++) peer.socket.write(openBytes(stream, BYTES, size(1)));
    await expect.poll(() => peer.isClosed).toBe(true);
    expect(peer.text).toContain('3 streams are open, and no more are taken');
    expect(server.served).toHaveLength(3);
  });

  it('sends more than its window: is left, with no more kept than that', async () => {
    const peer = await server.raw();
    peer.socket.write(openBytes(1, ECHO, Buffer.from('x')));
    await expect.poll(() => server.served.length).toBe(1);
    server.served[0]?.stream.pause();
    const piece = frameBytes(DATA, 1, 0, Buffer.alloc(64 * 1024, 1));
    for (let sent = 0; sent < 32; sent++) peer.socket.write(piece);
    await expect.poll(() => server.closed[0]?.reason).toBe('TOO_MUCH');
    expect(server.closed[0]?.message).toContain('more than the window that it was granted');
    expect(server.served[0]?.isCancelled).toBe(true);
  });

  it('asks and does not read: is answered no further than the streams that it may have', async () => {
    const peer = await server.raw();
    peer.socket.pause();
    // Refused streams: each is open until its refusal is with the socket.
    const opens: Buffer[] = [];
    for (let stream = 1; stream <= 50_000; stream++) opens.push(openBytes(stream, 9, Buffer.alloc(8)));
    peer.socket.write(Buffer.concat(opens));
    await expect.poll(() => server.closed.length > 0 || server.served.length === 50_000).toBe(true);
    expect(server.connections[0]?.openStreams).toBeLessThanOrEqual(HELLO.streamsMax);
  });

  it('asks for life signs without end: gets one for many', async () => {
    const peer = await server.raw();
    await expect.poll(() => peer.received.length).toBe(LAYOUTS.hello.size);
    const pings = Buffer.concat(Array.from({ length: 100_000 }, () => frameBytes(PING, 0, 0, Buffer.alloc(0))));
    peer.socket.write(pings);
    await expect.poll(() => server.connections[0]?.receivedBytes).toBe(LAYOUTS.hello.size + pings.length);
    expect(server.connections[0]?.sentBytes).toBeLessThan(pings.length / 10);
  });

  it('opens and gives up without end: costs nothing that lasts', async () => {
    server.holdAnswers();
    const peer = await server.raw();
    const both = Array.from({ length: 5000 }, (_, index) =>
      Buffer.concat([openBytes(index + 1, BYTES, size(1)), frameBytes(RESET, index + 1, 0, Buffer.alloc(0))]),
    );
    peer.socket.write(Buffer.concat(both));
    await expect.poll(() => server.served.length).toBe(5000);
    await expect.poll(() => server.served.every(({ isFinished }) => isFinished)).toBe(true);
    expect(server.connections[0]?.openStreams).toBe(0);
  });

  it('says goodbye: its streams are over', async () => {
    const peer = await server.raw();
    peer.socket.write(openBytes(1, ECHO, Buffer.from('x')));
    peer.socket.write(frameBytes(GOODBYE, 0, 0, Buffer.from('\u0005bye')));
    await expect.poll(() => server.closed[0]).toMatchObject({ reason: 'STOPPING', message: 'the other end left: bye' });
    await expect.poll(() => peer.isClosed).toBe(true);
    expect(server.served[0]?.isCancelled).toBe(true);
  });
});

it('nobody who only connects and leaves is kept', async () => {
  for (let index = 0; index < 50; index++) {
    const socket = connect(server.port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.destroy();
  }
  await expect.poll(() => server.closed.length).toBe(50);
});
