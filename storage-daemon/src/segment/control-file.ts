import fs from 'node:fs';
import { dirname } from 'node:path';
import { crc32c } from '@kube-aurora/pg-format';
import type { EpochStart } from '@kube-aurora/volume';
import { syncDirectory } from '../redo-log/log-file.ts';

/**
 * What a segment has promised and where its data is: `<segment>/control`, replaced whole (write, fsync, rename, fsync of
 * the directory), so that it is either the old or the new one. First line: format and CRC32C of the rest; then JSON.
 */
const FORMAT = 'aurora-segment-1';

export interface SegmentControl {
  readonly volumeId: string;
  readonly pg: number;
  /** Volume epoch: lower ones are refused. */
  readonly epoch: bigint;
  /** Who holds that epoch; '' when it was learned from a peer. */
  readonly writerId: string;
  readonly history: readonly EpochStart[];
  /** False until an import or copy was completed. */
  readonly ready: boolean;
  readonly baseEpoch: bigint;
  readonly baseLsn: bigint;
  readonly systemIdentifier: bigint;
  /** Subdirectories pages-N and log-N; a new import or copy takes new ones. */
  readonly pagesGeneration: number;
  readonly logGeneration: number;
  /**
   * The segment may have acknowledged redo up to here that its log lost to damage. Until it has it again from its peers
   * it makes no promise to an opener, who could otherwise believe that it never existed.
   */
  readonly owesLsn: bigint;
}

/** A control file that cannot be read; the segment has to be removed by hand, or its disk replaced. */
export class ControlFileError extends Error {
  constructor(path: string, message: string) {
    super(`${path}: ${message}; move the segment's directory away, and it will be copied from its peers`);
    this.name = 'ControlFileError';
  }
}

export function emptyControl(volumeId: string, pg: number): SegmentControl {
  return {
    volumeId,
    pg,
    epoch: 0n,
    writerId: '',
    history: [],
    ready: false,
    baseEpoch: 0n,
    baseLsn: 0n,
    systemIdentifier: 0n,
    pagesGeneration: 0,
    logGeneration: 0,
    owesLsn: 0n,
  };
}

interface StoredControl {
  volumeId: string;
  pg: number;
  epoch: string;
  writerId: string;
  history: { epoch: string; startLsn: string }[];
  ready: boolean;
  baseEpoch: string;
  baseLsn: string;
  systemIdentifier: string;
  pagesGeneration: number;
  logGeneration: number;
  owesLsn: string;
}

export async function writeControl(path: string, control: SegmentControl): Promise<void> {
  const body = `${JSON.stringify(control, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))}\n`;
  const next = `${path}.next`;
  const handle = await fs.promises.open(next, 'w');
  try {
    await handle.writeFile(`${FORMAT} ${(crc32c(Buffer.from(body)) >>> 0).toString(16)}\n${body}`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await fs.promises.rename(next, path);
  await syncDirectory(dirname(path));
}

/** Undefined when there is no file. Throws ControlFileError. */
export function readControl(path: string): SegmentControl | undefined {
  if (!fs.existsSync(path)) return undefined;
  const text = fs.readFileSync(path, 'utf8');
  const split = text.indexOf('\n');
  const [format, crc] = text.slice(0, split).split(' ');
  const body = text.slice(split + 1);
  if (format !== FORMAT) throw new ControlFileError(path, `'${format}' is not ${FORMAT}`);
  if ((crc32c(Buffer.from(body)) >>> 0).toString(16) !== crc) throw new ControlFileError(path, 'fails its CRC');
  const stored = JSON.parse(body) as StoredControl;
  return {
    ...stored,
    epoch: BigInt(stored.epoch),
    history: stored.history.map((entry) => ({ epoch: BigInt(entry.epoch), startLsn: BigInt(entry.startLsn) })),
    baseEpoch: BigInt(stored.baseEpoch),
    baseLsn: BigInt(stored.baseLsn),
    systemIdentifier: BigInt(stored.systemIdentifier),
    owesLsn: BigInt(stored.owesLsn),
  };
}
