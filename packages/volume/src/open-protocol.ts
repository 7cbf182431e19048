/**
 * Opening a volume as its writer: the decisions, without I/O. Whoever drives it asks `wanted(segment)` what to send to
 * each segment, sends it, and reports what came back; lost, late and repeated answers are all fine.
 *
 * The steps stand in open-steps.ts. Why the end that is chosen loses nothing stands in choose-start.ts.
 */
import { formatLsn, type Lsn } from '@kube-aurora/pg-format';
import { chooseStart, countedScl, countsForWriter, type SegmentClaim } from './choose-start.ts';
import { extendHistory, lastEpoch, type EpochStart } from './epoch-history.ts';
import { EPOCH_MAX } from './history-rules.ts';
import { DONE, endsWithPromises, type OpenFailure, type OpenRequest, type OpenStep } from './open-steps.ts';
import { ALL_FULL, type Quorums } from './quorum.ts';

export interface OpenOptions {
  /** Of the protection group; ALL_FULL unless given. */
  readonly quorums?: Quorums;
  /**
   * Highest epoch this very writer has asked for before, when it opens again after it lost its PostgreSQL. Any segment
   * past it means that another writer took over: 'overtaken', not a race for the next epoch.
   */
  readonly heldEpoch?: bigint;
  /** The volume held a database before: that nobody has it means that disks are missing, not that it is new. */
  readonly volumeExists?: boolean;
}

export class OpenProtocol {
  readonly #quorums: Quorums;
  #heldEpoch: bigint | undefined;
  #step: OpenStep = 'status';
  #epoch = 0n;
  /** Answers of the present step; a failure is remembered until the segment answers. */
  #answers: (SegmentClaim | undefined)[] = [];
  #failed: boolean[] = [];
  /** Those that had promised when the present round of 'confirm' began. */
  #promised: ReadonlySet<number> = new Set();
  #round = 0;
  /** What each segment last said of itself since it promised, whatever it was asked. */
  #lastWords: (SegmentClaim | undefined)[] = [];
  #graceOver = false;
  #doubtOver = false;
  /** Why the promises were not enough, while they are asked for anew; '' when they have not been weighed. */
  #lacking = '';
  #refuses = false;
  readonly #volumeExists: boolean;
  #highestSeen = 0n;
  #history: readonly EpochStart[] = [];
  #startLsn = 0n;
  #waiting = '';

  constructor(options: OpenOptions = {}) {
    this.#quorums = options.quorums ?? ALL_FULL;
    this.#heldEpoch = options.heldEpoch;
    this.#volumeExists = options.volumeExists ?? false;
    this.#highestSeen = options.heldEpoch ?? 0n;
    this.#enter('status');
  }

  get step(): OpenStep {
    return this.#step;
  }
  /** The epoch asked for; 0n before. In 'bootstrap', the one to import with. */
  get epoch(): bigint {
    return this.#epoch;
  }
  /** Whole, with our own entry last; from 'install-history' on. */
  get history(): readonly EpochStart[] {
    return this.#history;
  }
  /** X. From 'install-history' on. */
  get startLsn(): bigint {
    return this.#startLsn;
  }
  /** What it waits for, for people. */
  get waitingFor(): string {
    return this.#waiting;
  }
  get copies(): number {
    return this.#quorums.copies;
  }
  /** Answered in the present step. */
  get answered(): number {
    return this.#answers.filter((claim) => claim !== undefined).length;
  }

  /**
   * True when a quorum answered and only stragglers are missing: give them a moment, then call `endGrace`. Waiting is
   * never needed for safety; more promises mean more segments to work with.
   */
  get inGrace(): boolean {
    return !this.#graceOver && endsWithPromises(this.#step) && this.#isEnough;
  }

  endGrace(): void {
    if (!this.inGrace) return;
    this.#graceOver = true;
    this.#advance();
  }

  /** Everyone who promised is empty, and someone is silent who may not be: wait longer, then call `endDoubt`. */
  get inDoubt(): boolean {
    return (
      !this.#doubtOver &&
      !this.#volumeExists &&
      this.#step === 'promise' &&
      this.#isEnough &&
      this.answered < this.copies &&
      this.#allEmpty()
    );
  }

  endDoubt(): void {
    if (!this.inDoubt) return;
    this.#doubtOver = true;
    this.#graceOver = true;
    this.#advance();
  }

  /** The volume should hold a database and those that promised hold nothing: not to be solved by waiting alone. */
  get refuses(): boolean {
    return this.#refuses;
  }

  /**
   * Nobody that answers holds the redo up to X: whoever had it has lost it since, or is away, and nobody else can get
   * it. Give them a moment, then call `startOver`: the others may well have all that was acknowledged.
   */
  get isStranded(): boolean {
    if (this.#step !== 'catch-up') return false;
    return this.#lastWords.every((claim, segment) => this.#failed[segment] === true || !this.#hasStart(claim));
  }

  /**
   * Gives the chosen start up and opens for a higher epoch.
   *
   * Invariant: nothing was written in the epoch that is given up (it was not opened), and the next choice counts what
   * was acknowledged as the first did, from a quorum of promises. What only the lost ones had was on fewer than that.
   */
  startOver(): void {
    if (!this.isStranded) return;
    if (this.#heldEpoch !== undefined) this.#heldEpoch = this.#epoch;
    this.#enter('status');
  }

  #hasStart(claim: SegmentClaim | undefined): boolean {
    return claim?.phase === 'READY' && countedScl(this.#history, claim) >= this.#startLsn;
  }

  /** Have as many answered as this step needs? */
  get #isEnough(): boolean {
    const roles = this.#quorums.rolesAt(this.upToDate());
    return endsWithPromises(this.#step) ? this.#quorums.isPromise(roles) : this.#quorums.isWrite(roles);
  }

  #allEmpty(): boolean {
    return this.#answers.every((claim) => claim === undefined || claim.phase === 'EMPTY' || claim.phase === 'IMPORTING');
  }

  /** What this segment should be sent now; undefined when it has done its part in this step. */
  wanted(segment: number): OpenRequest | undefined {
    if (this.#answers[segment] !== undefined) return this.#step === 'catch-up' ? { kind: 'recheck', epoch: this.#epoch } : undefined;
    switch (this.#step) {
      case 'status':
        return { kind: 'status' };
      case 'promise':
        return { kind: 'open-epoch', epoch: this.#epoch };
      case 'confirm':
        return this.#promised.has(segment)
          ? { kind: 'confirm', epoch: this.#epoch, round: this.#round }
          : { kind: 'open-epoch', epoch: this.#epoch };
      case 'install-history':
        return { kind: 'install-history', epoch: this.#epoch, history: this.#history };
      case 'catch-up':
        // Installs the history first where InstallHistory has not been answered: redo may only flow in under it.
        return this.#installed[segment] === true
          ? { kind: 'catch-up', epoch: this.#epoch, lsn: this.#startLsn }
          : { kind: 'install-history', epoch: this.#epoch, history: this.#history };
      default:
        return undefined;
    }
  }

  #installed: boolean[] = [];
  /** Segments that have promised an epoch past EPOCH_MAX. */
  readonly #beyondReach = new Set<number>();

  /** A segment's answer to `request`. Answers to an earlier step or epoch are ignored. */
  answer(segment: number, request: OpenRequest, claim: SegmentClaim): void {
    // A promise that no opener can go past: this segment takes part again once it was repaired.
    if (claim.epoch > EPOCH_MAX) {
      this.#beyondReach.add(segment);
      this.fail(segment, request, 'unavailable');
      return;
    }
    this.#beyondReach.delete(segment);
    if (claim.epoch > this.#highestSeen) this.#highestSeen = claim.epoch;
    if (!this.#isCurrent(request)) return;
    if (request.kind !== 'status' && claim.epoch > request.epoch) {
      this.fail(segment, request, 'overtaken');
      return;
    }
    this.#failed[segment] = false;
    if (request.kind !== 'status') this.#lastWords[segment] = claim;
    if (request.kind === 'recheck') {
      // Its disk may have been replaced, or what it held found damaged.
      this.#installed[segment] = lastEpoch(claim.history) === this.#epoch;
      if (!this.#holdsStart(claim)) this.#answers[segment] = undefined;
      this.#advance();
      return;
    }
    if (this.#step === 'confirm') {
      this.#confirm(segment, request, claim);
      return;
    }
    if (request.kind === 'install-history') this.#installed[segment] = lastEpoch(claim.history) === this.#epoch;
    const done =
      request.kind === 'install-history'
        ? this.#installed[segment] === true && (this.#step === 'install-history' || this.#holdsStart(claim))
        : request.kind === 'catch-up'
          ? this.#holdsStart(claim)
          : true;
    if (done) this.#answers[segment] = claim;
    this.#advance();
  }

  /**
   * What a segment says once a promise quorum has promised.
   *
   * Invariant: the start is chosen only from promises that were all held at one moment, which is when the round began:
   * each was given before it and is found to hold after it. Only a promise to us puts a segment that forgot it on our
   * epoch again, or a copy, until which it takes no redo; so one that is on it, and need not recover any redo, has held
   * it, or counted for nobody in between.
   */
  #confirm(segment: number, request: OpenRequest, claim: SegmentClaim): void {
    if (request.kind === 'confirm') {
      if (claim.epoch < this.#epoch) this.#promised = new Set([...this.#promised].filter((one) => one !== segment));
      else if (claim.recoverToLsn > claim.scl) this.#failed[segment] = true;
      else this.#answers[segment] = claim;
      this.#advance();
      return;
    }
    if (!this.#promised.has(segment)) this.#beginRound([...this.#promised, segment]);
  }

  /** These have promised, and are asked whether they hold to it. */
  #beginRound(promised: readonly number[]): void {
    this.#enter('confirm');
    this.#promised = new Set(promised);
    this.#round++;
  }

  /**
   * A request that failed. Being overtaken before a quorum promised is a race to run again; after it, it is the end.
   */
  fail(segment: number, request: OpenRequest, failure: OpenFailure): void {
    if (!this.#isCurrent(request)) return;
    this.#failed[segment] = true;
    if (failure === 'overtaken') {
      if ((this.#step === 'promise' || this.#step === 'confirm') && this.#heldEpoch === undefined) {
        if (this.#epoch > this.#highestSeen) this.#highestSeen = this.#epoch;
        this.#enter('status');
      } else this.#enter('overtaken');
      return;
    }
    this.#advance();
  }

  /** Epoch of the batch that ends at X, for the first batch's previousEpoch: all that hold exactly X agree on it. */
  previousEpoch(): bigint {
    const claim = this.#answers.find((one) => one !== undefined && one.scl === this.#startLsn);
    if (claim === undefined) throw new Error('no segment stands at the start; the volume is not open');
    return claim.lastBatchEpoch;
  }

  /** Segments that have done their part in this step; once opened, those that hold everything up to X. */
  upToDate(): number[] {
    return this.#answers.flatMap((claim, segment) => (claim === undefined ? [] : [segment]));
  }

  #holdsStart(claim: SegmentClaim): boolean {
    return countsForWriter(claim, this.#epoch) && claim.scl >= this.#startLsn;
  }

  #isCurrent(request: OpenRequest): boolean {
    switch (request.kind) {
      case 'status':
        return this.#step === 'status';
      case 'open-epoch':
        return (this.#step === 'promise' || this.#step === 'confirm') && request.epoch === this.#epoch;
      case 'confirm':
        return this.#step === 'confirm' && request.epoch === this.#epoch && request.round === this.#round;
      case 'install-history':
        return (this.#step === 'install-history' || this.#step === 'catch-up') && request.epoch === this.#epoch;
      case 'catch-up':
      case 'recheck':
        return this.#step === 'catch-up' && request.epoch === this.#epoch;
    }
  }

  #enter(step: OpenStep): void {
    const keep = step === 'bootstrap' || step === 'opened';
    this.#step = step;
    this.#waiting = '';
    this.#graceOver = false;
    this.#doubtOver = false;
    this.#lacking = '';
    this.#refuses = false;
    if (keep) return;
    this.#answers = Array.from({ length: this.copies }, () => undefined);
    this.#failed = Array.from({ length: this.copies }, () => false);
    if (step !== 'promise') return;
    this.#installed = Array.from({ length: this.copies }, () => false);
    this.#lastWords = [];
  }

  #advance(): void {
    if (!this.#isEnough) {
      const { answered } = this;
      const needs = endsWithPromises(this.#step) ? this.#quorums.promiseNeeds : this.#quorums.writeNeeds;
      this.#waiting =
        this.#lacking !== ''
          ? this.#lacking
          : `${answered} of ${this.copies} segments ${DONE[this.#step] ?? 'answered'}, ${needs} are needed`;
      if (this.isStranded)
        this.#waiting = `no segment that answers holds the volume up to ${formatLsn(this.#startLsn as Lsn)} any more; it is opened anew in a moment`;
      if (this.#beyondReach.size > 0)
        this.#waiting += `; ${this.#beyondReach.size} have promised an epoch past ${EPOCH_MAX}: run 'storage-daemon repair-epoch' there`;
      return;
    }
    const everyoneSpoke = this.#answers.every(
      (claim, segment) =>
        claim !== undefined || this.#failed[segment] === true || (this.#step === 'confirm' && !this.#promised.has(segment)),
    );
    if (this.#step === 'status') {
      if (this.#heldEpoch !== undefined && this.#highestSeen > this.#heldEpoch) {
        this.#enter('overtaken');
        return;
      }
      this.#epoch = this.#highestSeen + 1n;
      this.#enter('promise');
    } else if (this.#step === 'promise' || this.#step === 'confirm') {
      if (!everyoneSpoke && !this.#graceOver) return;
      this.#decide();
    } else if (this.#step === 'install-history') {
      const claims = this.#answers;
      this.#enter('catch-up');
      // Most hold all of it already and need not be asked again.
      this.#answers = claims.map((claim) => (claim !== undefined && this.#holdsStart(claim) ? claim : undefined));
      this.#advance();
    } else if (this.#step === 'catch-up') {
      this.#enter('opened');
    }
  }

  /** What the promises come to: they are confirmed before anything is made of them. */
  #decide(): void {
    const isConfirmed = this.#step === 'confirm';
    // Not a trace of the volume: one that ever was written to would show on two of any promise quorum.
    if (this.#allEmpty()) {
      const { answered, copies } = this;
      if (this.#volumeExists) {
        this.#askAgain(
          `${answered} of ${copies} segments answered and all of them are empty, but this volume held a database: it is not made anew over ` +
            'what may still exist. Bring back the daemons or disks that hold it',
        );
        this.#refuses = true;
      } else if (this.inDoubt) {
        this.#waiting = `${answered} of ${copies} segments answered and are empty; the others may hold the volume and are waited for`;
      } else if (isConfirmed) this.#enter('bootstrap');
      else this.#beginRound(this.upToDate());
      return;
    }
    this.#refuses = false;
    const choice = chooseStart(this.#answers, this.#quorums);
    if (choice.kind === 'wait') this.#askAgain(choice.reason);
    else if (isConfirmed) {
      this.#startLsn = choice.startLsn;
      this.#history = extendHistory(choice.history, { epoch: this.#epoch, startLsn: choice.startLsn });
      this.#enter('install-history');
    } else this.#beginRound(this.upToDate());
  }

  /**
   * Those that promised are not enough: segments that are being copied get ready in time, and are asked again, with the
   * promise they already gave.
   */
  #askAgain(lacking: string): void {
    const claims = this.#answers;
    if (this.#step === 'confirm') this.#enter('promise');
    this.#answers = claims.map((claim) => (claim?.phase === 'READY' ? claim : undefined));
    this.#lacking = lacking;
    this.#waiting = lacking;
  }
}
