import type { Disk } from '../disk/disk.ts';
import type { Clock } from '@kube-aurora/clock';
import { join } from 'node:path';
import type { RedoBatchHeader } from '@kube-aurora/volume';
import type { BatchForm } from './batch-form.ts';
import { LogChain, type ChainLink } from './log-chain.ts';
import { LogFile, parseLogFileName } from './log-file.ts';
import { findLaterBatch, scanFile, type ScanEnd } from './scan-file.ts';

/**
 * Finds a log's chain again from its files. Every batch is checked; the chain ends where the first one fails, and what
 * stands behind is cut off, so that the files hold the chain and nothing else.
 */

/** Bytes of the log that failed their checks although sound batches follow them: damage, not a torn last write. */
export interface LogDamage {
  /** End of the chain before the damage. */
  readonly lsn: bigint;
  /** End of the last batch that was seen behind it. */
  readonly claimedLsn: bigint;
  readonly message: string;
}

/** What the scan gives for each batch; `bytes` is valid until the callback's promise settles. */
export type OnScannedBatch = (header: RedoBatchHeader, bytes: Buffer, position: number) => Promise<void>;

export interface LogSource {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly directory: string;
  readonly form: BatchForm;
}

/** Told of damage while all of it is still there to be seen. Nothing is cut off before its promise resolves. */
export type OnLogDamage = (damage: LogDamage) => Promise<void>;

/**
 * Recovers the log in the directory (made when absent). `start` is where the chain stands when there are no files. Throws
 * KeyUnusableError, and has changed nothing then.
 *
 * Invariants: what shows that redo was lost goes only after `onDamage` has noted it elsewhere; after a crash in between
 * the damage is found again. What is found counts as durable only once it was synced: a process that died may have
 * written it and no more, and then the system's memory shows what the power would take. Files before the newest were
 * synced when they were sealed.
 */
export async function recoverLog(from: LogSource, start: ChainLink, onBatch: OnScannedBatch, onDamage: OnLogDamage): Promise<LogChain> {
  const { disk, clock, directory, form } = from;
  await disk.makeDirectory(directory);
  const names = disk
    .list(directory)
    .filter((name) => parseLogFileName(name) !== undefined)
    .toSorted();
  const chain = new LogChain(start);
  let damage: LogDamage | undefined;
  let isEmpty = true;
  /** Files that hold nothing of the chain, oldest first, and the one that holds its end. */
  const superfluous: LogFile[] = [];
  let unsound: { file: LogFile; offset: number; end: bigint } | undefined;
  for (const [index, name] of names.entries()) {
    const file = await LogFile.open(disk, join(directory, name), parseLogFileName(name) ?? 0n, chain.nextBase);
    if (damage !== undefined) {
      damage = claimsOf(file, damage);
      superfluous.push(file);
      continue;
    }
    const { offset, damage: fault } = await recoverFile(chain, file, isEmpty, { form, clock }, onBatch);
    isEmpty &&= file.used === 0;
    const end = isEmpty ? file.firstLsn : chain.tail.lsn;
    const claimed = findLaterBatch(file, offset, end);
    if (claimed !== undefined || (index < names.length - 1 && offset < file.capacity)) {
      damage = { lsn: end, claimedLsn: claimed ?? end, message: fault ?? 'zeros where a batch should be' };
    }
    if (file.used === 0) {
      superfluous.push(file);
      continue;
    }
    if (fault !== undefined || damage !== undefined) unsound = { file, offset, end };
    chain.addFile(file);
  }
  if (damage !== undefined) await onDamage(damage);
  // Newest first and one after the other, so that what a crash leaves is a chain with something behind it, never one
  // with a hole.
  for (const file of superfluous.toReversed()) {
    await file.remove();
    await disk.syncDirectory(directory);
  }
  await unsound?.file.cutOff(unsound.offset, unsound.end);
  await chain.files.at(-1)?.sync();
  await disk.syncDirectory(directory);
  chain.durable = chain.tail;
  return chain;
}

/** Extends the chain by a file's sound batches. The first batch of all says where the chain starts. */
async function recoverFile(
  chain: LogChain,
  file: LogFile,
  isFirst: boolean,
  { form, clock }: Pick<LogSource, 'form' | 'clock'>,
  onBatch: OnScannedBatch,
): Promise<ScanEnd> {
  const steps = scanFile(file, form, isFirst ? undefined : chain.tail, clock);
  let step = await steps.next();
  for (let isStart = isFirst; step.done !== true; isStart = false) {
    const { header, bytes, storedBytes, offset } = step.value;
    if (isStart) chain.start = { lsn: header.backlink, epoch: header.previousEpoch };
    chain.extend(file, header, storedBytes);
    await onBatch(header, bytes, file.base + offset);
    step = await steps.next();
  }
  return step.value;
}

/** The damage, with what a file behind it says that the log once held. */
function claimsOf(file: LogFile, damage: LogDamage): LogDamage {
  const claimed = findLaterBatch(file, 0, damage.lsn);
  return claimed !== undefined && claimed > damage.claimedLsn ? { ...damage, claimedLsn: claimed } : damage;
}
