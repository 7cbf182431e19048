import { LogGoneError, LogReadError } from '../redo-log/log-errors.ts';
import type { RedoLog } from '../redo-log/redo-log.ts';

/** Reads the redo log back, slowly and for ever, and has what fails its check repaired before someone needs it. */
export class RedoScrub {
  readonly #log: RedoLog;
  readonly #onCorruption: (kind: 'log', error: Error) => void;
  #lsn = 0n;

  constructor(log: RedoLog, onCorruption: (kind: 'log', error: Error) => void) {
    this.#log = log;
    this.#onCorruption = onCorruption;
  }

  /** Checks about `bytes`, from where the last step ended; gives the bytes checked. */
  async step(bytes: number, repairLog: (lsn: bigint) => Promise<boolean>): Promise<number> {
    const log = this.#log;
    const { startLsn } = log;
    if (this.#lsn < startLsn || this.#lsn >= log.durable.lsn) this.#lsn = startLsn;
    try {
      const { batches, end } = log.reader.batchesFrom(this.#lsn, bytes);
      this.#lsn = end.lsn;
      return batches.length;
    } catch (error) {
      if (error instanceof LogGoneError) {
        this.#lsn = 0n;
        return 0;
      }
      if (!(error instanceof LogReadError)) throw error;
      this.#onCorruption('log', error);
      if (!(await repairLog(error.lsn))) this.#lsn = 0n;
      return 0;
    }
  }
}
