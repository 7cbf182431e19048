import type { BatchOperation, KeyedStore, StoreEntry } from '../../storage-daemon/src/disk/keyed-store.ts';
import type { SeededRandom } from '../faults/random.ts';
import type { Machine } from './machine.ts';

/**
 * A KeyedStore whose crash leaves what LevelDB's would. Batches go to a log; when a write buffer's worth is in it, the
 * next log begins, and the one before is made durable only later, as a table. A batch with `sync` syncs the log that it
 * is in, and no other: of the one before any part may still be lost.
 */

type Values = Map<string, Buffer>;

/** Keys as text, in the order of their bytes. */
const textOf = (key: Buffer): string => key.toString('latin1');
const keyOf = (text: string): Buffer => Buffer.from(text, 'latin1');

function apply(values: Values, batch: readonly BatchOperation[]): void {
  for (const operation of batch) {
    if (operation.type === 'put') values.set(textOf(operation.key), Buffer.from(operation.value));
    else values.delete(textOf(operation.key));
  }
}

type Batch = readonly BatchOperation[];

interface Log {
  readonly batches: Batch[];
  /** So many of them are synced. */
  synced: number;
  bytes: number;
}

const emptyLog = (): Log => ({ batches: [], synced: 0, bytes: 0 });
const bytesOf = (batch: Batch): number => batch.reduce((sum, one) => sum + one.key.length + (one.type === 'put' ? one.value.length : 0), 0);

/** What a store has on disk, and in the system's memory on the way there. */
export class StoreContent {
  #durable: Values = new Map();
  current: Values = new Map();
  /** The log that is written, and the one before it while that is no table yet. */
  #log = emptyLog();
  #full: Log | undefined;
  #writeBufferBytes = Infinity;
  #wasLiedTo = false;

  /** What is found becomes a table. */
  open(writeBufferBytes: number): void {
    this.#writeBufferBytes = writeBufferBytes;
    this.makeDurable();
  }

  write(batch: Batch): void {
    // The caller may use its buffers again.
    const own = batch.map((one) =>
      one.type === 'put' ? { ...one, key: Buffer.from(one.key), value: Buffer.from(one.value) } : { ...one, key: Buffer.from(one.key) },
    );
    if (this.#log.bytes > this.#writeBufferBytes) {
      if (!this.#wasLiedTo) for (const full of this.#full?.batches ?? []) apply(this.#durable, full);
      this.#full = this.#wasLiedTo ? { batches: [...(this.#full?.batches ?? []), ...this.#log.batches], synced: 0, bytes: 0 } : this.#log;
      this.#log = emptyLog();
    }
    apply(this.current, own);
    this.#log.batches.push(own);
    this.#log.bytes += bytesOf(own);
  }

  sync(): void {
    this.#log.synced = this.#log.batches.length;
  }

  makeDurable(): void {
    for (const { batches } of this.#logs) for (const batch of batches) apply(this.#durable, batch);
    this.#full = undefined;
    this.#log = emptyLog();
  }

  get #logs(): Log[] {
    return this.#full === undefined ? [this.#log] : [this.#full, this.#log];
  }

  /** The disk says that something was synced which was not: it loses all from some moment on. */
  lie(): void {
    this.#wasLiedTo = true;
  }

  crash(random: SeededRandom): void {
    for (const { batches, synced } of this.#logs) {
      const kept = random.integer(synced, batches.length);
      for (const batch of batches.slice(0, kept)) apply(this.#durable, batch);
      if (this.#wasLiedTo && kept < batches.length) break;
    }
    this.#full = undefined;
    this.#log = emptyLog();
    this.#wasLiedTo = false;
    this.current = new Map(this.#durable);
  }

  copy(): StoreContent {
    const copy = new StoreContent();
    copy.#durable = new Map(this.#durable);
    for (const { batches, synced } of this.#logs) for (const batch of batches.slice(0, synced)) apply(copy.#durable, batch);
    copy.current = new Map(copy.#durable);
    return copy;
  }

  /** A value by its key, the store's own bytes. */
  value(key: Buffer): Buffer | undefined {
    return this.current.get(textOf(key));
  }

  get bytes(): number {
    let sum = 0;
    for (const value of this.current.values()) sum += value.length;
    return sum;
  }

  flipBit(random: SeededRandom): string {
    const key = random.pick([...this.current.keys()].toSorted());
    const value = Buffer.from(this.current.get(key) ?? Buffer.alloc(1));
    const at = random.integer(0, value.length - 1);
    value[at] = (value[at] ?? 0) ^ (1 << random.integer(0, 7));
    this.current.set(key, value);
    if (this.#durable.has(key)) this.#durable.set(key, value);
    return `value of ${keyOf(key).toString('hex')}, byte ${at}`;
  }
}

export class SimulatedStore implements KeyedStore {
  readonly #content: StoreContent;
  readonly #machine: Machine;
  readonly #life: number;
  readonly #delay: () => Promise<void>;
  readonly #lies: () => boolean;

  constructor(content: StoreContent, machine: Machine, delay: () => Promise<void>, lies: () => boolean) {
    this.#content = content;
    this.#machine = machine;
    this.#life = machine.life;
    this.#delay = delay;
    this.#lies = lies;
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    await this.#machine.clock.turn();
    const value = this.#content.current.get(textOf(key));
    return value === undefined ? undefined : Buffer.from(value);
  }

  async getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    await this.#machine.clock.turn();
    return keys.map((key) => {
      const value = this.#content.current.get(textOf(key));
      return value === undefined ? undefined : Buffer.from(value);
    });
  }

  async batch(operations: readonly BatchOperation[]): Promise<void> {
    await this.#delay();
    if (this.#machine.life !== this.#life) return;
    this.#content.write(operations);
    await this.#delay();
    if (this.#isKept) this.#content.sync();
    else if (this.#lies()) this.#content.lie();
  }

  /** A process that died changes nothing any more; a disk that lies keeps nothing. */
  get #isKept(): boolean {
    return this.#machine.life === this.#life && !this.#lies();
  }

  async *keys(from: Buffer, to: Buffer): AsyncGenerator<Buffer> {
    const [low, high] = [textOf(from), textOf(to)];
    const keys = [...this.#content.current.keys()].filter((key) => key >= low && key < high).toSorted();
    for (const key of keys) {
      await this.#machine.clock.turn();
      yield keyOf(key);
    }
  }

  async *entries(after?: Buffer): AsyncGenerator<StoreEntry> {
    const low = after === undefined ? undefined : textOf(after);
    const entries = [...this.#content.current].filter(([key]) => low === undefined || key > low).toSorted(([a], [b]) => (a < b ? -1 : 1));
    for (const [key, value] of entries) {
      await this.#machine.clock.turn();
      yield { key: keyOf(key), value: Buffer.from(value) };
    }
  }

  approximateBytes(): Promise<number> {
    return Promise.resolve(this.#content.bytes);
  }

  compact(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
