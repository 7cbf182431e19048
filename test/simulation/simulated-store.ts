import type { BatchOperation, KeyedStore, StoreEntry } from '../../storage-daemon/src/disk/keyed-store.ts';
import type { SeededRandom } from '../faults/random.ts';
import type { Machine } from './machine.ts';

/** A KeyedStore whose crash leaves any prefix of its batches that its contract allows. */

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

/** What a store has on disk, and in the system's memory on the way there. */
export class StoreContent {
  #durable: Values = new Map();
  current: Values = new Map();
  #pending: (readonly BatchOperation[])[] = [];

  write(batch: readonly BatchOperation[]): void {
    // The caller may use its buffers again.
    const own = batch.map((one) =>
      one.type === 'put' ? { ...one, key: Buffer.from(one.key), value: Buffer.from(one.value) } : { ...one, key: Buffer.from(one.key) },
    );
    apply(this.current, own);
    this.#pending.push(own);
  }

  sync(): void {
    for (const batch of this.#pending) apply(this.#durable, batch);
    this.#pending = [];
  }

  crash(_survives: () => boolean, random: SeededRandom): void {
    const kept = random.integer(0, this.#pending.length);
    for (const batch of this.#pending.slice(0, kept)) apply(this.#durable, batch);
    this.#pending = [];
    this.current = new Map(this.#durable);
  }

  /** LevelDB's own log is written, not synced: a process's death loses none of it. */
  processDied(): void {
    this.sync();
  }

  copy(): StoreContent {
    const copy = new StoreContent();
    copy.#durable = new Map(this.#durable);
    copy.current = new Map(this.#durable);
    return copy;
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

  async batch(operations: readonly BatchOperation[], options: { readonly sync?: boolean } = {}): Promise<void> {
    await this.#delay();
    if (this.#machine.life !== this.#life) return;
    this.#content.write(operations);
    if (options.sync !== true) return;
    await this.#delay();
    this.#sync();
  }

  async makeDurable(): Promise<void> {
    await this.#delay();
    this.#sync();
  }

  #sync(): void {
    if (this.#machine.life === this.#life && !this.#lies()) this.#content.sync();
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

  checkFiles(bytes: number): Promise<number> {
    return Promise.resolve(Math.min(bytes, this.#content.bytes));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
