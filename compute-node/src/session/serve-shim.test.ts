import { NO_XMINS } from '@kube-aurora/rpc';
import { mkdtempSync, rmSync, statSync, writeFileSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silentLogger } from '@kube-aurora/process';
import type { FlushAnswer } from '../flush-outcome.ts';
import { encodeRequest, RESPONSE_BYTES, STATUS } from '../postgres/shim-protocol.ts';
import { serveShim, type ShimAccess } from './serve-shim.ts';

let runDir: string;
let shim: ShimAccess | undefined;
let written: bigint[] = [];
beforeEach(() => {
  written = [];
  runDir = mkdtempSync('/tmp/aurora-shim-');
  writeFileSync(join(runDir, 'built.so'), 'the shim');
});
afterEach(async () => {
  await shim?.close();
  shim = undefined;
  rmSync(runDir, { recursive: true });
});

async function serve(outcome: FlushAnswer, shimLibrary = join(runDir, 'built.so')): Promise<ShimAccess> {
  const paths = { shimSocket: join(runDir, 'agent.sock'), shimLibrary, runDir, account: undefined };
  const readPages = (): Promise<readonly Buffer[]> => Promise.reject(new Error('not read'));
  const expectPages = (): void => undefined;
  const pagesAlong = (): undefined => undefined;
  const wrote = (writtenLsn: bigint): void => void written.push(writtenLsn);
  const volume = {
    wrote,
    flush: () => Promise.resolve(outcome),
    flushes: undefined,
    readPages,
    pagesAlong,
    expectPages,
    runningLsn: () => 7n,
    standbyXmins: () => NO_XMINS,
  };
  shim = await serveShim(paths, volume, silentLogger());
  return shim;
}

async function answerTo(request: Buffer): Promise<Buffer> {
  const socket = connect(join(runDir, 'agent.sock'));
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  socket.on('data', resolve);
  socket.on('error', reject);
  socket.write(request);
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

it.each<FlushAnswer>([
  { kind: 'durable', durableLsn: 300n },
  { kind: 'sent', sentLsn: 300n },
  { kind: 'fenced' },
  { kind: 'damaged' },
  { kind: 'stopped' },
])('a flush that ends $kind reaches the shim as just that', async (outcome) => {
  const { kind } = outcome;
  const { token } = await serve(outcome);
  const answer = await answerTo(encodeRequest({ operation: 'flush', id: 5, token, writtenLsn: 300n, dirtyLsn: 200n }));
  expect(answer).toHaveLength(RESPONSE_BYTES);
  expect(answer.readUInt32LE(8)).toBe(STATUS[kind]);
  expect(answer.readBigUInt64LE(16)).toBe(kind === 'durable' || kind === 'sent' ? 300n : 0n);
});

it('that WAL was written is passed on and not answered', async () => {
  const { token } = await serve({ kind: 'stopped' });
  const wrote = encodeRequest({ operation: 'wrote', id: 5, token, writtenLsn: 300n });
  const answer = await answerTo(
    Buffer.concat([wrote, encodeRequest({ operation: 'flush', id: 6, token, writtenLsn: 400n, dirtyLsn: 200n })]),
  );
  expect(written).toEqual([300n]);
  expect(answer.readUInt32LE(4)).toBe(6);
});

it('who has asked when the volume ends hears why, also where nobody had read the question yet', async () => {
  const served = await serve({ kind: 'fenced' });
  const { token } = served;
  const answers = [5, 6, 7].map((id) => answerTo(encodeRequest({ operation: 'flush', id, token, writtenLsn: 300n, dirtyLsn: 200n })));
  // At once: nothing of them has been accepted by then.
  const ended = served.refuse();
  expect((await Promise.all(answers)).map((answer) => answer.readUInt32LE(8))).toEqual([STATUS.fenced, STATUS.fenced, STATUS.fenced]);
  expect(await ended, 'counted, so that they are given the time to tell their clients').toBe(3);
  const late = await answerTo(encodeRequest({ operation: 'flush', id: 8, token, writtenLsn: 300n, dirtyLsn: 200n }));
  expect(late.readUInt32LE(8), 'until PostgreSQL is dead').toBe(STATUS.fenced);
  await served.close();
});

it('the library stands whole beside the socket, and may be loaded by another account', async () => {
  writeFileSync(join(runDir, 'libaurora_shim.so'), 'an old one');
  const { library } = await serve({ kind: 'stopped' });
  expect(readFileSync(library, 'utf8')).toBe('the shim');
  expect(statSync(library).mode & 0o777).toBe(0o755);
});

it('without a library nothing is left listening', async () => {
  await expect(serve({ kind: 'stopped' }, join(runDir, 'none.so'))).rejects.toThrow(/ENOENT/);
  await expect(answerTo(Buffer.alloc(1))).rejects.toThrow(/ENOENT|ECONNREFUSED/);
});
