import { systemClock } from '@kube-aurora/clock';
import type { Server } from '@grpc/grpc-js';
import {
  AuroraRpcError,
  addSegmentService,
  createServer,
  listen,
  type AppendCall,
  type AppendResult,
  type EpochStart,
  type SegmentPhase,
  type SegmentState,
} from '@kube-aurora/rpc';
import { checkRedoBatch, decodeRedoBatchHeader, isBatchValid, mergeHistories } from '@kube-aurora/volume';

/** A storage daemon's segment in memory, over real gRPC: promises and redo log are honest, pages are whatever a test says. */
export class FakeSegment {
  readonly id: string;
  phase: SegmentPhase = 'READY';
  epoch = 1n;
  writerId = '';
  history: EpochStart[];
  readonly baseLsn: bigint;
  batches: Buffer[] = [];
  /** Acknowledge nothing while true (a daemon that hangs). */
  hung = false;
  highestVdl = 0n;
  highestPgmrpl = 0n;
  pageRequests = 0;
  lastReadLsn = 0n;
  onGetPages: (count: number) => Promise<Buffer> = (count) => Promise.resolve(Buffer.alloc(count * 8192));
  #server: Server | undefined;
  #port = 0;
  readonly #calls = new Set<AppendCall>();

  constructor(id: string, baseLsn: bigint) {
    this.id = id;
    this.baseLsn = baseLsn;
    this.history = [{ epoch: 1n, startLsn: baseLsn }];
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }
  get scl(): bigint {
    const last = this.batches.at(-1);
    return last === undefined ? this.baseLsn : decodeRedoBatchHeader(last).endLsn;
  }
  get lastBatchEpoch(): bigint {
    const last = this.batches.at(-1);
    return last === undefined ? 1n : decodeRedoBatchHeader(last).epoch;
  }

  state(): SegmentState {
    const { phase, epoch, scl, lastBatchEpoch, history, baseLsn, id } = this;
    const zeros = {
      appliedLsn: scl,
      vdl: this.highestVdl,
      logStartLsn: baseLsn,
      systemIdentifier: 1n,
      pgmrpl: 0n,
      bytesUsed: 0n,
      recoverToLsn: 0n,
      fault: undefined,
    };
    return { ...zeros, phase, epoch, scl, lastBatchEpoch, baseEpoch: 1n, baseLsn, history, message: '', daemonId: id, zone: 'z' };
  }

  async start(): Promise<void> {
    const server = createServer();
    addSegmentService(
      server,
      {
        append: (call) => this.#append(call),
        openEpoch: (request) => this.#promise(request.epoch, request.writerId),
        truncate: (request) => this.#answer(() => this.#install(request.epoch, request.history)),
        catchUp: () => this.#answer(() => undefined),
        getPages: async (request) => {
          this.pageRequests++;
          this.lastReadLsn = request.lsn;
          if (request.epoch < this.epoch) throw new AuroraRpcError('FENCED', 'an older epoch');
          const count = request.keys.length;
          return { present: Buffer.alloc(count, 1), pages: await this.onGetPages(count) };
        },
        computeImage: () => {
          throw new AuroraRpcError('NOT_READY', 'has no image');
        },
        importBase: () => Promise.reject(new AuroraRpcError('NOT_READY', 'takes no import')),
        status: () => this.#answer(() => undefined),
      },
      systemClock(),
    );
    this.#port = await listen(server, `127.0.0.1:${this.#port}`);
    this.#server = server;
  }

  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
    this.#calls.clear();
  }

  /** Goes on where it hung: acknowledges what it holds. */
  wake(): void {
    this.hung = false;
    for (const call of this.#calls) this.#respond(call, 'OK');
  }

  #answer(work: () => void): Promise<SegmentState> {
    if (this.hung) return new Promise(() => undefined);
    work();
    return Promise.resolve(this.state());
  }

  #promise(epoch: bigint, writerId: string): Promise<SegmentState> {
    if (epoch < this.epoch) return Promise.reject(new AuroraRpcError('FENCED', `has ${this.epoch}`));
    if (epoch === this.epoch && this.writerId !== '' && writerId !== this.writerId)
      return Promise.reject(new AuroraRpcError('EPOCH_TAKEN', `of ${this.writerId}`));
    return this.#answer(() => {
      this.epoch = epoch;
      this.writerId = writerId;
    });
  }

  #install(epoch: bigint, history: readonly EpochStart[]): void {
    if (epoch < this.epoch) throw new AuroraRpcError('FENCED', `has ${this.epoch}`);
    this.epoch = epoch;
    this.history = [...mergeHistories(this.history, history, epoch)];
    this.batches = this.batches.filter((batch) => isBatchValid(this.history, decodeRedoBatchHeader(batch)));
  }

  #append(call: AppendCall): void {
    let streamEpoch = 0n;
    this.#calls.add(call);
    call.on('error', () => this.#calls.delete(call));
    call.on('data', (request) => {
      if (request.pgmrpl > this.highestPgmrpl) this.highestPgmrpl = request.pgmrpl;
      if (request.hello !== undefined) {
        streamEpoch = request.hello.epoch;
        if (streamEpoch < this.epoch) {
          this.#respond(call, 'FENCED');
          return;
        }
        this.#install(streamEpoch, request.hello.history);
        this.#respond(call, 'OK');
        return;
      }
      if (request.vdl > this.highestVdl) this.highestVdl = request.vdl;
      const bytes = request.batches ?? Buffer.alloc(0);
      for (let at = 0; at < bytes.length;) {
        const header = checkRedoBatch(bytes, at);
        const batch = bytes.subarray(at, at + header.totalBytes);
        at += header.totalBytes;
        if (streamEpoch < this.epoch) this.#respond(call, 'FENCED');
        else if (header.backlink > this.scl) this.#respond(call, 'GAP');
        else {
          if (header.backlink === this.scl && header.previousEpoch === this.lastBatchEpoch) this.batches.push(Buffer.from(batch));
          this.#respond(call, 'OK');
        }
      }
    });
    call.on('end', () => call.end());
  }

  #respond(call: AppendCall, result: AppendResult): void {
    if (!this.hung) call.write({ scl: this.scl, result, epoch: this.epoch, message: '' });
  }
}

export async function startFakeSegments(baseLsn: bigint): Promise<FakeSegment[]> {
  const segments = Array.from({ length: 6 }, (_, index) => new FakeSegment(`s${index}`, baseLsn));
  await Promise.all(segments.map((segment) => segment.start()));
  return segments;
}
