import type { WalStreamDecoder } from '@kube-aurora/pg-format';
import type { RecordRun } from '@kube-aurora/volume';
import { NUMBER, walCut, type Addon } from './addon.ts';

/** So many records of one call may be such that somebody looks at them. */
const NOTED_MAX = 4096;
const LSN_BYTES = 8;

/** Hears of a record that it may tell which transactions run: the bytes [start, start + length). */
export type NoteRecord = (lsn: number, bytes: Buffer, start: number, length: number) => void;

/**
 * Cuts WAL that a decoder has received into records of a run, many in a call (native/cut.h). It takes what is plainly right and no more: what it leaves,
 * the decoder deals with, which alone judges what is wrong, zero, not all there, or another matter than a record.
 *
 * Invariant: decoder and run are afterwards as if the decoder had moved over each of these records and the run had been given it.
 */
export class RunCutter {
  readonly #addon: Addon = walCut();
  readonly #systemIdentifier: BigUint64Array;
  readonly #numbers = new Float64Array(Object.keys(NUMBER).length);
  readonly #noted = new Uint32Array(NOTED_MAX);

  constructor(systemIdentifier: bigint) {
    this.#systemIdentifier = BigUint64Array.of(systemIdentifier);
  }

  /**
   * Goes on until the run has `full` bytes, as far as that is plain; gives how many records it took. `note` hears of those whose transaction or
   * kind may matter to it, in their order.
   */
  cut(decoder: WalStreamDecoder, run: RecordRun, full: number, note: NoteRecord): number {
    const stretch = decoder.stretch();
    if (stretch === undefined) return 0;
    const numbers = this.#numbers;
    numbers[NUMBER.START] = stretch.start;
    numbers[NUMBER.LSN] = stretch.lsn;
    numbers[NUMBER.PREV] = stretch.prev;
    numbers[NUMBER.TIMELINE] = decoder.timeline;
    numbers[NUMBER.AT] = run.byteLength;
    numbers[NUMBER.FULL] = full;
    const { memory } = run;
    const count = this.#addon.cut(stretch.bytes, memory, numbers, this.#noted, this.#systemIdentifier);
    if (count === 0) return 0;
    const end = stretch.lsn + numbers[NUMBER.USED]!;
    decoder.pass(numbers[NUMBER.USED]!, numbers[NUMBER.PREV]!);
    run.written(count, numbers[NUMBER.FIRST]!, end, numbers[NUMBER.AT]!);
    for (let index = 0; index < numbers[NUMBER.NOTED]!; index++) {
      const at = this.#noted[index]!;
      const lsn = memory.readUInt32LE(at) + memory.readUInt32LE(at + 4) * 2 ** 32;
      note(lsn, memory, at + LSN_BYTES, memory.readUInt32LE(at + LSN_BYTES));
    }
    return count;
  }
}
