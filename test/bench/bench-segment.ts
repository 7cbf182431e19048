import { systemClock } from '@kube-aurora/clock';
import fs from 'node:fs';
import { pageKeyOf, postgres18 } from '@kube-aurora/redo';
import { decodeRedoBatchHeader } from '@kube-aurora/volume';
import { systemDisk } from '../../storage-daemon/src/disk/system-disk.ts';
import { PageStore } from '../../storage-daemon/src/pages/page-store.ts';
import { DurableEvent } from '../../storage-daemon/src/redo-log/durable-event.ts';
import type { SegmentLimits } from '../../storage-daemon/src/segment/limits.ts';
import { pagesDirectory } from '../../storage-daemon/src/segment/open-storage.ts';
import { SegmentStorage } from '../../storage-daemon/src/segment/segment-storage.ts';
import { PLAIN_FORMS } from '../../storage-daemon/src/segment/segment-key.ts';
import type { WalStream } from './wal-streams.ts';

/** A segment of its own for benchmarks: no daemon, no peers, no compute. */
const VOLUME = '0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10';

function failed(error: Error): never {
  throw error;
}

/** A segment in `directory` as it is where the stream begins: its pages stored, nothing in its log. */
export async function openBenchSegment(
  directory: string,
  stream: WalStream,
  limits: SegmentLimits,
  forms = PLAIN_FORMS,
): Promise<SegmentStorage> {
  const first = stream.batches[0];
  if (first === undefined) throw new Error('the stream is empty');
  const baseLsn = decodeRedoBatchHeader(first).backlink;
  const pages = pagesDirectory(directory, 1);
  fs.mkdirSync(pages, { recursive: true });
  const store = await PageStore.open(systemDisk(), pages, {
    cacheBytes: limits.levelCacheBytes,
    writeBufferBytes: limits.levelWriteBufferBytes,
    flushPages: limits.flushPages,
    form: forms.pages,
  });
  const all = [...stream.pages.pages()];
  for (let at = 0; at < all.length; at += 256) {
    await store.write(all.slice(at, at + 256).map(({ id, page }) => ({ page: pageKeyOf(id), version: { lsn: baseLsn, page } })));
  }
  await store.setCheckpoint({ lsn: baseLsn, epoch: 1n }, stream.state, undefined);
  await store.close();
  const control = {
    volumeId: VOLUME,
    role: 'FULL' as const,
    pg: 0,
    ready: true,
    epoch: 1n,
    writerId: 'bench',
    history: [{ epoch: 1n, startLsn: baseLsn }],
    baseEpoch: 1n,
    baseLsn,
    systemIdentifier: 7n,
    engine: postgres18.id,
    pagesGeneration: 1,
    logGeneration: 1,
    recoverToLsn: 0n,
    logStart: { lsn: 0n, epoch: 0n },
    leases: [],
    standIn: undefined,
    encryption: undefined,
    writer: undefined,
    followers: [],
  };
  const options = {
    engine: postgres18,
    disk: systemDisk(),
    forms,
    directory,
    limits,
    clock: systemClock(),
    durable: new DurableEvent(),
    onProgress: () => {},
    onLogFailure: failed,
    onDamage: failed,
    fetchPage: () => Promise.reject(new Error('there is no peer')),
    dropLimit: () => 0n,
    onLogDamage: ({ message }: { message: string }) => failed(new Error(message)),
    onCorruption: (_kind: string, error: Error) => failed(error),
    onRepair: () => {},
  };
  return SegmentStorage.open(options, control, { durableLsn: baseLsn });
}
