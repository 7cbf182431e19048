import { Backoff, type Clock, type Timer } from '@kube-aurora/clock';
import { fromServiceError, type SegmentState } from '@kube-aurora/rpc';
import { OpenProtocol, type OpenRequest, type EpochStart } from '@kube-aurora/volume';
import type { Logger } from '@kube-aurora/process';
import { engineMismatch } from '../engine.ts';
import { quorumsOf, type SegmentEndpoint, type WriterIdentity } from '../segments.ts';
import { keepHeard } from './opener-beat.ts';

/** Why this compute cannot open this volume, however long it waits. */
export type MismatchReason =
  /** The volume is of another engine, or of another major version, than the compute. */
  | 'engineMismatch'
  /** A segment is full, or a tail, where the compute was told otherwise. */
  | 'rolesMismatch'
  /** Storage is empty, and held a database before. */
  | 'volumeMissing';

/** How long the last segments are waited for once a quorum answered. A daemon that hangs costs this much, once. */
const GRACE_MS = 120;
/** How long segments that do not answer are waited for before a volume that the others do not know is taken for new. */
const DOUBT_MS = 10_000;
/** How long whoever held the end of the volume may be away before it is opened without that. */
const STRANDED_MS = 5000;
/** Two openers that took the same epoch both step back; this much later at most they try again. */
const RACE_PAUSE_MS = 200;
const DEADLINE_MS = {
  status: 1000,
  'open-epoch': 2000,
  confirm: 1000,
  'install-history': 10_000,
  'catch-up': 30_000,
  recheck: 1000,
} as const;
const WAITING_LOG_MS = 3000;
const HOW_TO_GIVE_UP =
  '; to give its data up and begin anew, start with AURORA_VOLUME_EXISTS=false (the operator does so for a cluster with the annotation kube-aurora.dev/accept-data-loss=true)';

export interface OpenedVolume {
  readonly kind: 'opened';
  readonly epoch: bigint;
  /** Whole, with this epoch's entry last. */
  readonly history: readonly EpochStart[];
  /** X: everything up to it is durable and belongs to the volume, nothing after it does. */
  readonly startLsn: bigint;
  /** Epoch of the batch that ends at X. */
  readonly previousEpoch: bigint;
  /** Segments that held everything up to X. */
  readonly upToDate: readonly number[];
}

export type OpenOutcome =
  | OpenedVolume
  | { readonly kind: 'bootstrap'; readonly epoch: bigint }
  | { readonly kind: 'overtaken' }
  | { readonly kind: 'stopped' };

/** Why an opening does not go on. Programs go by the kind; the message is for people. */
export interface OpenHindrance {
  readonly kind: 'storage' | MismatchReason;
  readonly message: string;
}

export interface OpenVolumeOptions {
  readonly segments: readonly SegmentEndpoint[];
  readonly identity: WriterIdentity;
  readonly heldEpoch: bigint | undefined;
  /** No lease that the writer will ask for is longer. */
  readonly leaseMs: number;
  /** Never answer 'bootstrap': the volume held a database before. */
  readonly volumeExists: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly doubtMs?: number;
  /** What it waits for just now, for /status; undefined when nothing. */
  readonly onWaiting: (hindrance: OpenHindrance | undefined) => void;
}

/**
 * Runs the open protocol (packages/volume/src/open-protocol.ts) against the storage daemons, for as long as it takes.
 */
export async function openVolume(options: OpenVolumeOptions): Promise<OpenOutcome> {
  const { segments, clock, logger, signal } = options;
  const protocol = new OpenProtocol({
    quorums: quorumsOf(segments),
    volumeExists: options.volumeExists,
    ...(options.heldEpoch === undefined ? {} : { heldEpoch: options.heldEpoch }),
  });
  const run = new OpenRun(protocol, options);
  let waiting: Timer;
  const complain = (): void => {
    const { step, epoch } = protocol;
    const { kind, message } = run.hindrance ?? { kind: 'storage', message: 'its answers' };
    if (kind === 'storage') logger.warn({ step, epoch }, `waiting for storage: ${message}`);
    else logger.error({ step, epoch, reason: kind }, message);
    waiting = clock.after(WAITING_LOG_MS, complain);
  };
  waiting = clock.after(WAITING_LOG_MS, complain);
  const stop = (): void => run.finish();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await Promise.race([run.finished, ...segments.map((endpoint) => run.drive(endpoint))]);
    if (signal.aborted) return { kind: 'stopped' };
    if (protocol.step === 'bootstrap') return { kind: 'bootstrap', epoch: protocol.epoch };
    if (protocol.step !== 'opened') return { kind: 'overtaken' };
    return {
      kind: 'opened',
      epoch: protocol.epoch,
      history: protocol.history,
      startLsn: protocol.startLsn,
      previousEpoch: protocol.previousEpoch(),
      upToDate: protocol.upToDate(),
    };
  } finally {
    waiting.cancel();
    signal.removeEventListener('abort', stop);
    run.finish();
    options.onWaiting(undefined);
  }
}

/**
 * Why a segment is not counted: it is not of a volume that this compute runs, or something else than it was when the
 * volume was made. Undefined while it is what it should be.
 */
export function mismatchOf({ id, role }: SegmentEndpoint, state: SegmentState): OpenHindrance | undefined {
  const engine = engineMismatch(state.engine);
  if (engine !== undefined) return { kind: 'engineMismatch', message: engine };
  if (state.role === role) return undefined;
  return {
    kind: 'rolesMismatch',
    message: `${id} says that it is ${state.role}, and AURORA_STORAGE has it as ${role}; roles never change: give the list that the volume was made with`,
  };
}

/** One loop per segment asks what the protocol wants of it; every change of the protocol wakes them all. */
class OpenRun {
  readonly finished: Promise<void>;
  readonly #protocol: OpenProtocol;
  readonly #options: OpenVolumeOptions;
  readonly #finish: () => void;
  #over = false;
  #step: string;
  /** Ends calls of a step that is over. */
  #stepSignal = new AbortController();
  #changed = Promise.withResolvers<void>();
  #graceTimer: Timer | undefined;
  #doubtTimer: Timer | undefined;
  #strandedTimer: Timer | undefined;
  #notBefore = 0;
  /** Ends our signs of life. */
  #fallSilent: () => void = () => undefined;
  /** By segment, why this compute cannot run the volume that it holds. */
  readonly #mismatches: (OpenHindrance | undefined)[] = [];

  constructor(protocol: OpenProtocol, options: OpenVolumeOptions) {
    this.#protocol = protocol;
    this.#options = options;
    this.#step = protocol.step;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.finished = promise;
    this.#finish = resolve;
  }

  /** Why it does not go on; undefined when nothing is known to be in its way. */
  get hindrance(): OpenHindrance | undefined {
    const { refuses, waitingFor } = this.#protocol;
    const mismatch = this.#mismatches.find((one) => one !== undefined);
    if (mismatch !== undefined) return mismatch;
    if (refuses) return { kind: 'volumeMissing', message: `${waitingFor}${HOW_TO_GIVE_UP}` };
    return waitingFor === '' ? undefined : { kind: 'storage', message: waitingFor };
  }

  finish(): void {
    this.#over = true;
    this.#fallSilent();
    this.#graceTimer?.cancel();
    this.#doubtTimer?.cancel();
    this.#strandedTimer?.cancel();
    this.#stepSignal.abort();
    this.#changed.resolve();
    this.#finish();
  }

  async drive(endpoint: SegmentEndpoint): Promise<void> {
    const { clock } = this.#options;
    const backoff = new Backoff(20, 500, () => clock.random());
    let asked = '';
    while (!this.#over) {
      const request = this.#protocol.wanted(endpoint.index);
      if (request === undefined) {
        await this.#changed.promise;
        continue;
      }
      const early = this.#notBefore - clock.now();
      if (early > 0) await clock.sleep(early);
      // The same question again right away would only burn a core; a new one is asked at once.
      const question = `${request.kind} ${this.#protocol.epoch}`;
      const signal = this.#stepSignal.signal;
      if (question === asked) await clock.sleep(backoff.next(), signal);
      else backoff.reset();
      asked = question;
      if (this.#over || signal.aborted) continue;
      await this.#ask(endpoint, request, signal);
    }
  }

  async #ask(endpoint: SegmentEndpoint, request: OpenRequest, signal: AbortSignal): Promise<void> {
    const { index } = endpoint;
    try {
      const state = await this.#call(endpoint, request, signal);
      const mismatch = mismatchOf(endpoint, state);
      this.#mismatches[index] = mismatch;
      // Before anything is promised: a volume that we cannot run is left to whoever runs it.
      if (mismatch === undefined) this.#protocol.answer(index, request, state);
      else this.#protocol.fail(index, request, 'unavailable');
    } catch (error) {
      const known = fromServiceError(error, endpoint.id);
      if (signal.aborted) return;
      const overtaken = known.code === 'FENCED' || known.code === 'EPOCH_TAKEN';
      if (overtaken)
        this.#options.logger.warn(
          { segment: endpoint.id, epoch: this.#protocol.epoch, reason: known.message },
          'another writer opens the volume too',
        );
      else this.#options.logger.debug({ segment: endpoint.id, request: request.kind, reason: known.message }, 'segment did not answer');
      this.#protocol.fail(index, request, overtaken ? 'overtaken' : 'unavailable');
      if (overtaken) this.#notBefore = this.#options.clock.now() + this.#options.clock.random() * RACE_PAUSE_MS;
    }
    this.#wake();
  }

  #call(endpoint: SegmentEndpoint, request: OpenRequest, signal: AbortSignal): Promise<SegmentState> {
    const { identity } = this.#options;
    const { segment, writerId } = identity;
    const options = { deadlineMs: DEADLINE_MS[request.kind], signal };
    switch (request.kind) {
      case 'status':
      case 'confirm':
      case 'recheck':
        return endpoint.client.status(segment, options);
      case 'open-epoch':
        return endpoint.client.openEpoch(
          { segment, epoch: request.epoch, writerId, role: endpoint.role, leaseMs: this.#options.leaseMs },
          options,
        );
      case 'install-history':
        return endpoint.client.installHistory({ segment, epoch: request.epoch, history: [...request.history] }, options);
      case 'catch-up':
        return endpoint.client.catchUp({ segment, lsn: request.lsn }, options);
    }
  }

  #wake(): void {
    const { step } = this.#protocol;
    this.#options.onWaiting(this.hindrance);
    if (step === 'opened' || step === 'bootstrap' || step === 'overtaken') {
      this.finish();
      return;
    }
    if (step !== this.#step) {
      this.#step = step;
      this.#fallSilent();
      // It may take long until its redo and its lease are heard.
      if (step === 'install-history' || step === 'catch-up')
        this.#fallSilent = keepHeard({ ...this.#options, epoch: this.#protocol.epoch });
      this.#graceTimer?.cancel();
      this.#graceTimer = undefined;
      this.#doubtTimer?.cancel();
      this.#doubtTimer = undefined;
      this.#strandedTimer?.cancel();
      this.#strandedTimer = undefined;
      this.#stepSignal.abort();
      this.#stepSignal = new AbortController();
    }
    if (this.#protocol.inGrace && this.#graceTimer === undefined) {
      this.#graceTimer = this.#options.clock.after(GRACE_MS, () => {
        this.#protocol.endGrace();
        this.#wake();
      });
    }
    if (this.#protocol.inDoubt && this.#doubtTimer === undefined) {
      this.#doubtTimer = this.#options.clock.after(this.#options.doubtMs ?? DOUBT_MS, () => {
        this.#protocol.endDoubt();
        this.#wake();
      });
    }
    if (!this.#protocol.isStranded) {
      this.#strandedTimer?.cancel();
      this.#strandedTimer = undefined;
    }
    if (this.#protocol.isStranded && this.#strandedTimer === undefined) {
      this.#strandedTimer = this.#options.clock.after(STRANDED_MS, () => {
        this.#options.logger.warn({ epoch: this.#protocol.epoch }, this.#protocol.waitingFor);
        this.#protocol.startOver();
        this.#wake();
      });
    }
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }
}
