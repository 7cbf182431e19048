import { LatencyHistogram } from '@kube-aurora/process';
import { Counter, Gauge, Registry } from 'prom-client';
import { FOLLOW_WANTS, type FramesTraffic } from '@kube-aurora/rpc';
import type { PeerCounters } from './peers/peers.ts';
import type { Segment } from './segment/segment.ts';

/** Full segments and tails differ in what they write and keep: figures of both must not be averaged. */
function labelsOf({ volumeId, pg, control }: Segment): { readonly volume: string; readonly pg: string; readonly role: string } {
  return { volume: volumeId, pg: String(pg), role: control.role === 'TAIL' ? 'tail' : 'full' };
}

/** The daemon's Prometheus metrics. Gauges are read from the segments when someone asks. */
export class DaemonMetrics implements PeerCounters {
  readonly registry = new Registry();
  readonly appendSeconds: LatencyHistogram;
  readonly syncSeconds: LatencyHistogram;
  readonly readSeconds: LatencyHistogram;
  readonly pagesRead: Counter;
  readonly corruptions: Counter<'kind'>;
  readonly repairs: Counter<'kind'>;
  readonly refusals: Counter<'rpc' | 'reason'>;
  readonly scrubbedBytes: Counter;
  readonly fetchedBytes: Counter;
  readonly followedBytes: Counter;
  readonly diskFreeBytes: Gauge;
  readonly diskBytes: Gauge;
  readonly idleCollections: Counter;
  readonly acknowledged: Counter<'by'>;

  constructor(segments: () => Iterable<Segment>, traffic: () => FramesTraffic) {
    const registers = [this.registry];
    this.appendSeconds = new LatencyHistogram({
      name: 'aurora_storage_append_seconds',
      help: 'From the arrival of a redo batch to the acknowledgement that covers it',
      registers,
    });
    this.acknowledged = new Counter({
      name: 'aurora_storage_acknowledged_messages_total',
      help: 'Messages with redo that were acknowledged, by who took them: the thread that has the writer’s connection, or the program',
      labelNames: ['by'],
      registers,
    });
    for (const by of ['thread', 'program']) this.acknowledged.inc({ by }, 0);
    this.syncSeconds = new LatencyHistogram({
      name: 'aurora_storage_sync_seconds',
      help: 'fdatasync of files, which is nearly always the redo log’s',
      registers,
    });
    this.readSeconds = new LatencyHistogram({ name: 'aurora_storage_read_seconds', help: 'GetPages requests', registers });
    this.pagesRead = new Counter({ name: 'aurora_storage_pages_read_total', help: 'Pages served to computes', registers });
    this.corruptions = new Counter({
      name: 'aurora_storage_corruptions_detected_total',
      help: 'Stored values that failed their check, by what they are',
      labelNames: ['kind'],
      registers,
    });
    this.repairs = new Counter({
      name: 'aurora_storage_repairs_total',
      help: 'Repairs, by what was replaced: from peers, the control file from its second copy',
      labelNames: ['kind'],
      registers,
    });
    for (const kind of ['page', 'log', 'state', 'control']) this.corruptions.inc({ kind }, 0);
    for (const kind of ['page', 'log', 'copy', 'control']) this.repairs.inc({ kind }, 0);
    this.refusals = new Counter({
      name: 'aurora_storage_refused_messages_total',
      help: 'Messages of which nothing was taken, by call and by the rule that they broke',
      labelNames: ['rpc', 'reason'],
      registers,
    });
    this.scrubbedBytes = new Counter({
      name: 'aurora_storage_scrubbed_bytes_total',
      help: 'Stored bytes read back by the scrubber',
      registers,
    });
    this.fetchedBytes = new Counter({ name: 'aurora_storage_fetched_bytes_total', help: 'Redo and copies fetched from peers', registers });
    this.followedBytes = new Counter({ name: 'aurora_storage_followed_bytes_total', help: 'Redo sent to readers', registers });
    this.idleCollections = new Counter({
      name: 'aurora_storage_idle_collections_total',
      help: 'Times that unused buffers were given back because there was nothing else to do',
      registers,
    });
    this.diskBytes = new Gauge({ name: 'aurora_storage_disk_bytes', help: 'Size of the data directory’s disk', registers });
    this.diskFreeBytes = new Gauge({ name: 'aurora_storage_disk_free_bytes', help: 'Free bytes of the data directory’s disk', registers });

    new Gauge({
      name: 'aurora_storage_frame_connections',
      help: 'Connections of computes that speak frames: one each',
      registers,
      collect() {
        this.set(traffic().connections);
      },
    });
    new Counter({
      name: 'aurora_storage_frame_bytes_total',
      help: 'Bytes of redo and page reads over frames, by direction',
      labelNames: ['direction'],
      registers,
      collect() {
        const { receivedBytes, sentBytes } = traffic();
        this.reset();
        this.inc({ direction: 'received' }, receivedBytes);
        this.inc({ direction: 'sent' }, sentBytes);
      },
    });

    const gauge = (name: string, help: string, read: (segment: Segment) => number): void => {
      new Gauge({
        name: `aurora_storage_${name}`,
        help,
        labelNames: ['volume', 'pg', 'role'],
        registers,
        collect() {
          this.reset();
          for (const segment of segments()) this.set(labelsOf(segment), read(segment));
        },
      });
    };
    gauge('scl', 'Segment complete LSN: end of the redo held without a gap', (segment) => Number(segment.scl));
    gauge('applied_lsn', 'Redo applied up to here', (segment) => Number(segment.storage?.appliedLsn ?? 0n));
    gauge('vdl', 'Highest volume durable LSN heard of', (segment) => Number(segment.storage?.vdl ?? 0n));
    gauge('pgmrpl', 'Lowest LSN that a compute may read at', (segment) => Number(segment.storage?.pgmrpl ?? 0n));
    gauge('checkpoint_lsn', 'Checkpoint: stored pages have all redo up to here', (segment) => Number(segment.storage?.checkpointLsn ?? 0n));
    gauge('epoch', 'Volume epoch promised', (segment) => Number(segment.control.epoch));
    gauge('bytes_used', 'Bytes on disk', (segment) => Number(segment.state().bytesUsed));
    gauge(
      'bytes_used_most',
      'Most bytes on disk that were measured since the daemon started: the high-water mark',
      (segment) => segment.bytesUsedMost,
    );
    gauge('log_bytes', 'Bytes of redo log', (segment) => segment.storage?.logBytes ?? 0);
    new Gauge({
      name: 'aurora_storage_redo_held_lsn',
      help: 'Redo past this LSN stays in the log for the holder: the peers that may lack it, or a copy under way',
      labelNames: ['volume', 'pg', 'role', 'holder'],
      registers,
      collect() {
        this.reset();
        for (const segment of segments()) {
          // The lowest floor first: of several of one name it is the one that counts.
          for (const { name, floorLsn } of segment.heldRedo.toReversed())
            this.set({ ...labelsOf(segment), holder: name }, Number(floorLsn));
        }
      },
    });
    new Gauge({
      name: 'aurora_storage_followers',
      help: 'Streams of readers, by what they want: redo, to hear soon what is durable, or their read floor to be known',
      labelNames: ['volume', 'pg', 'role', 'wants'],
      registers,
      collect() {
        this.reset();
        for (const segment of segments()) {
          const all = segment.followers.list();
          for (const wants of FOLLOW_WANTS) {
            const { length } = all.filter((follower) => follower.wants === wants);
            this.set({ ...labelsOf(segment), wants: wants.toLowerCase() }, length);
          }
        }
      },
    });
    gauge('follower_lag_bytes', 'Redo known to be durable that the slowest reader which is sent it has not taken', (segment) =>
      Number((segment.storage?.vdl ?? 0n) - (segment.followers.lowestTaken ?? segment.storage?.vdl ?? 0n)),
    );
    gauge('queue_bytes', 'Redo that waits for the disk or to be applied', (segment) => segment.queuedBytes);
    gauge('log_syncs', 'fdatasync calls of the redo log', (segment) => segment.storage?.logSyncs ?? 0);
    gauge(
      'records_applied',
      'Redo records indexed and applied to the state since start',
      (segment) => segment.pages?.stats().recordsApplied ?? 0,
    );
    gauge(
      'records_applied_to_pages',
      'Redo records applied to pages since start',
      (segment) => segment.pages?.stats().recordsAppliedToPages ?? 0,
    );
    gauge('index_refs', 'References of pages to redo past the checkpoint, in memory', (segment) => segment.pages?.stats().indexRefs ?? 0);
    gauge(
      'longest_chain',
      'Most references to redo past the checkpoint that one page had since this was last asked: records that a read of it applies',
      (segment) => segment.pages?.takeLongestChain() ?? 0,
    );
    gauge('tail_cache_bytes', 'Newest redo in memory', (segment) => segment.storage?.tailCacheBytes ?? 0);
    gauge('page_cache_bytes', 'Materialised pages in memory', (segment) => segment.pages?.stats().pageCacheBytes ?? 0);
    gauge(
      'checkpoints',
      'Checkpoints since start: how often redo was written into stored pages',
      (segment) => segment.pages?.stats().checkpoints ?? 0,
    );
    gauge(
      'merge_seconds',
      'Seconds since start in which redo was applied or pages were stored, waits for the disk included',
      (segment) => (segment.pages?.stats().mergeMs ?? 0) / 1000,
    );
    gauge('pages_written', 'Page versions stored since start', (segment) => segment.pages?.stats().pagesWritten ?? 0);
    gauge('stands_in', '1 when a tail holds pages in the place of its zone’s full segment', (segment) =>
      segment.control.standIn === undefined ? 0 : 1,
    );
    gauge('unwritable', '1 when no redo is taken because the disk is full or fails', (segment) =>
      segment.unwritable === undefined ? 0 : 1,
    );
    gauge('damaged', '1 when the segment refuses reads', (segment) => (segment.phase === 'DAMAGED' ? 1 : 0));
  }

  corruption(kind: string): void {
    this.corruptions.inc({ kind });
  }

  repair(kind: string): void {
    this.repairs.inc({ kind });
  }

  fetched(bytes: number): void {
    this.fetchedBytes.inc(bytes);
  }

  scrubbed(bytes: number): void {
    this.scrubbedBytes.inc(bytes);
  }
}
