import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { WriterLease, type LeaseView, type Permit, type WriterLeaseOptions } from '../lease/writer-lease.ts';
import type { OpenedVolume } from '../open/open-volume.ts';
import type { Placement } from '../placement.ts';
import { PageReader, type PageReaderOptions } from '../read-path/page-reader.ts';
import { PageSource, type PageSourceOptions } from '../read-path/page-source.ts';
import type { VolumeView } from '../read-path/volume-view.ts';
import type { SegmentEndpoint, WriterIdentity } from '../segments.ts';
import { WritePath, type WritePathOptions } from '../write-path/write-path.ts';

/** What ends an epoch from the volume's side. */
export interface VolumeDriverEvents {
  /** Another writer owns the volume. */
  readonly onFenced: (message: string) => void;
  readonly onDamagedWal: (error: Error) => void;
  /** Replies to the database's clients may leave until then. */
  readonly onPermit: (permit: Permit) => void;
}

/** Both ways to the volume in one epoch. */
export interface VolumeDriver {
  readonly writePath: Pick<
    WritePath,
    | 'start'
    | 'stop'
    | 'appendFirst'
    | 'follow'
    | 'wrote'
    | 'flush'
    | 'runningLsn'
    | 'watch'
    | 'returnFlushes'
    | 'quickestFlushMs'
    | 'timed'
    | 'promisedLsn'
    | 'durable'
  > &
    VolumeView &
    WriteCounters;
  readonly pageReader: Pick<PageReader, 'read' | 'stop'>;
  /** For PostgreSQL: with what was read ahead. */
  readonly pageSource: Pick<PageSource, 'read' | 'along' | 'expect' | 'stop'>;
  readonly lease: Pick<WriterLease, 'start' | 'stop' | 'held' | 'giveBack' | 'standbyXmins'> & LeaseView;
}

/** What the status and the metrics read of a write path. */
export type WriteCounters = Pick<WritePath, 'sentLsn' | 'oldestFlushMs' | 'ringBytes' | 'waitingFlushes' | 'flushesReturn' | 'segment'>;

export interface VolumeDriverOptions
  extends
    Pick<PageReaderOptions, 'onRead' | 'onError'>,
    Pick<PageSourceOptions, 'aheadBytesMax' | 'untouchedForks' | 'onAheadGone'>,
    Pick<WritePathOptions, 'onFlushSent' | 'onFlushed' | 'onTook'>,
    Pick<WriterLeaseOptions, 'leaseMs' | 'isDead'> {
  readonly segments: readonly SegmentEndpoint[];
  readonly identity: WriterIdentity;
  readonly opened: OpenedVolume;
  readonly placement: Placement;
  readonly ringBytesMax: number;
  readonly zone: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The driver of an opened volume. Page reads under way hold the write path's read floor down. */
export function volumeDriver(
  options: VolumeDriverOptions,
  events: VolumeDriverEvents,
): { readonly writePath: WritePath; readonly pageReader: PageReader; readonly pageSource: PageSource; readonly lease: WriterLease } {
  const { opened } = options;
  const writePath: WritePath = new WritePath({
    ...options,
    ...events,
    epoch: opened.epoch,
    history: opened.history,
    startLsn: opened.startLsn,
    previousEpoch: opened.previousEpoch,
    oldestRead: () => pageReader.oldestRead(),
  });
  const pageReader = new PageReader({ ...options, ...events, epoch: opened.epoch, volume: writePath });
  const pageSource = new PageSource({ ...options, reader: pageReader });
  const lease = new WriterLease({ ...options, epoch: opened.epoch }, events);
  return { writePath, pageReader, pageSource, lease };
}
