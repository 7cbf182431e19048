import type { ReadingSession } from './agent-phases.ts';
import type { OpenedVolume } from './open/open-volume.ts';
import type { RunningStandby } from './reader/running-standby.ts';
import type { DrainOutcome } from './switchover/drain-outcome.ts';
import type { Session, SessionEnd } from './session/session.ts';

/** The volume, as a writer of that epoch finds it. */
export const opened = (epoch: bigint): OpenedVolume => ({
  kind: 'opened',
  epoch,
  history: [{ epoch, startLsn: 100n }],
  startLsn: 100n,
  previousEpoch: epoch - 1n,
  upToDate: [0, 1, 2, 3],
});

/** A session that ends when it is told to. */
export class ScriptedSession implements ReadingSession {
  readonly #ended = Promise.withResolvers<SessionEnd>();
  readonly ended = this.#ended.promise;
  readonly postgresPid = 4711;
  readonly volume = { vdl: 100n, scl: () => 100n, readFloor: 100n };
  writePath: Session['writePath'];
  replay: Session['replay'];
  lease: Session['lease'];
  drain?: (withinMs: number) => Promise<DrainOutcome>;
  ready = false;
  readonly #starts: boolean;
  /** What it was told, in order. */
  readonly told: string[] = [];

  constructor(starts = true) {
    this.#starts = starts;
  }
  start(): Promise<void> {
    this.ready = this.#starts;
    return Promise.resolve();
  }
  /** Undefined: it has no PostgreSQL that could be given away. */
  standby: RunningStandby | undefined;
  handOver(): RunningStandby | undefined {
    this.told.push('hand over');
    if (this.standby !== undefined) this.end({ kind: 'handedOver' });
    return this.standby;
  }
  answers(): Promise<boolean> {
    return Promise.resolve(this.ready);
  }
  stop(): Promise<void> {
    this.told.push('stop');
    this.end({ kind: 'stopped' });
    return Promise.resolve();
  }
  kill(): Promise<void> {
    this.told.push('kill');
    this.end({ kind: 'stopped' });
    return Promise.resolve();
  }
  end(end: SessionEnd): void {
    this.ready = false;
    this.#ended.resolve(end);
  }
}
