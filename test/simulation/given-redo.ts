import { recordEndLsn, recordStart, RECORD_HEADER, type Lsn } from '@kube-aurora/pg-format';
import { recordsIn } from '@kube-aurora/volume';
import type { DurableRedo } from '../../compute-node/src/reader/durable-redo.ts';
import type { VolumeHistory } from './history.ts';

const SWITCH = { rmid: 0, info: 0x40 } as const;

/** The redo that one reader is given, held against the history. */
export class GivenRedo {
  readonly #reader: string;
  readonly #history: VolumeHistory;
  #position: Lsn;
  /** Whose redo it was given last. */
  epoch: bigint | undefined;

  constructor(reader: string, history: VolumeHistory, startLsn: Lsn) {
    this.#reader = reader;
    this.#history = history;
    this.#position = startLsn;
  }

  /** End of the redo that it was given. */
  get position(): Lsn {
    return this.#position;
  }

  /** Without its own arithmetic a feed that leaves something out, or gives it twice, would be believed. */
  take({ startLsn, endLsn, records }: DurableRedo): void {
    const reader = this.#reader;
    let at = this.#position;
    if (startLsn !== at) this.#history.break(`${reader} is at ${at.toString(16)} and is given redo from ${startLsn.toString(16)} on`);
    for (const { lsn, raw } of recordsIn(records)) {
      if (lsn !== recordStart(at)) this.#history.break(`${reader} is at ${at.toString(16)} and is given a record of ${lsn.toString(16)}`);
      const isSwitch = raw[RECORD_HEADER.rmid.at] === SWITCH.rmid && raw[RECORD_HEADER.info.at] === SWITCH.info;
      at = recordEndLsn(lsn, raw.length, isSwitch);
      this.epoch = this.#history.shown(reader, lsn, at, raw);
    }
    if (endLsn !== at)
      this.#history.break(`${reader} is given redo up to ${at.toString(16)} that is said to end at ${endLsn.toString(16)}`);
    this.#position = endLsn;
  }
}
