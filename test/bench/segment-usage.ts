/**
 * What a copy of the volume costs, by what it is: redo written, what stands on disk, what the disk was given to write.
 * Figures of full segments and of tails side by side say what mixed copies save.
 */
import type { SegmentRole } from '@kube-aurora/volume';
import type { Cluster } from '../e2e/cluster-harness.ts';
import { directoryUse, type DirectoryUse } from './cluster-usage.ts';
import { LogMeter } from './log-meter.ts';
import { diskBytesWritten } from './process-usage.ts';
import { MIB, shown } from './table.ts';

interface UsageReading {
  /** By daemon, bytes. */
  readonly redo: readonly number[];
  readonly use: readonly DirectoryUse[];
  /** Of the machine's disk, all copies together; undefined where the file system names none. */
  readonly disk: number | undefined;
}

export const USAGE_HEAD = [
  'each copy',
  'how many',
  'redo, bytes a transaction',
  'redo log at the end, MiB',
  'page store',
  'all on disk',
  'it grew by',
  'the disk wrote, all copies, bytes a transaction',
] as const;

export class SegmentUsage {
  readonly #cluster: Cluster;
  readonly #meter: LogMeter;
  #before: UsageReading | undefined;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#meter = new LogMeter(cluster);
  }

  async #read(): Promise<UsageReading> {
    return {
      redo: await this.#meter.written(),
      use: this.#cluster.daemons.map((_daemon, index) => directoryUse(this.#cluster, index)),
      disk: diskBytesWritten(this.#cluster.directory),
    };
  }

  /** From here on. */
  async begin(): Promise<void> {
    this.#before = await this.#read();
  }

  /**
   * A row for the full segments and, where there are some, one for the tails: what `transactions` since `begin` took.
   */
  async rows(name: string, transactions: number): Promise<string[][]> {
    const before = this.#before;
    if (before === undefined) throw new Error('begin was not called');
    const after = await this.#read();
    const disk = before.disk === undefined || after.disk === undefined ? '' : shown((after.disk - before.disk) / transactions);
    return (['FULL', 'TAIL'] as const).flatMap((role) => {
      const indices = this.#indices(role);
      if (indices.length === 0) return [];
      const mean = (figure: (index: number) => number): number =>
        indices.reduce((total, index) => total + figure(index), 0) / indices.length;
      const mib = (part: keyof DirectoryUse): string => shown(mean((index) => after.use[index]?.[part] ?? 0) / MIB, 1);
      const grown = mean((index) => (after.use[index]?.all ?? 0) - (before.use[index]?.all ?? 0));
      return [
        [
          `${name}: ${role === 'FULL' ? 'full segment' : 'tail'}`,
          String(indices.length),
          shown(mean((index) => (after.redo[index] ?? 0) - (before.redo[index] ?? 0)) / transactions),
          mib('log'),
          mib('pages'),
          mib('all'),
          shown(grown / MIB, 1),
          role === 'FULL' ? disk : '',
        ],
      ];
    });
  }

  #indices(role: SegmentRole): number[] {
    return this.#cluster.roles.flatMap((each, index) => (each === role ? [index] : []));
  }

  stop(): void {
    this.#meter.stop();
  }
}
