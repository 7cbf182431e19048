import { StoreDamageError, type BatchOperation, type KeyedStore, type StoreEntry } from '../disk/keyed-store.ts';
import { EMPTY_DIGEST, hashOf, openDigest, openPlace, PLACE_VALUE_BYTES_MAX, sealDigest, type Digest, type Place } from './place-codec.ts';
import { openValue, StoredValueError } from './stored-value.ts';

/**
 * The index of a page store: where each page's version is, and the few values beside them, in a keyed store. It tells
 * when the keyed store has lost an entry, or shows an older one: see place-codec.ts for the digest.
 */

/** The first byte of pages' keys. */
export const PAGE_PREFIX = 0x70;
export const DIGEST_KEY = Buffer.from('d');
const NO_KEY: Buffer = Buffer.alloc(0);
/** Entries that are asked for at once: each time costs a hop to another thread and back, as much as looking up dozens of them. */
const STRETCH = 512;

export class PlaceIndex {
  readonly #store: KeyedStore;
  #digest: Digest;
  readonly #hasDigest: boolean;
  /** How far the entries were walked since they were last compared with the digest, and what was found. */
  #walk = { after: NO_KEY, count: 0, sum: 0 };
  /** A batch has failed: whether it is there nobody knows before the store is opened anew, as it is after a failed write. */
  #isUncertain = false;

  private constructor(store: KeyedStore, digest: Digest | undefined) {
    this.#store = store;
    this.#digest = digest ?? EMPTY_DIGEST;
    this.#hasDigest = digest !== undefined;
  }

  /** Throws StoredValueError. */
  static async open(store: KeyedStore): Promise<PlaceIndex> {
    const sealed = await damageOf(DIGEST_KEY, () => store.get(DIGEST_KEY));
    return new PlaceIndex(store, sealed === undefined ? undefined : openDigest(DIGEST_KEY, sealed));
  }

  /** Of every page; 0 while there is none. */
  get pageBytes(): number {
    return this.#digest.pageBytes;
  }

  /**
   * Reads all of it, and gives the slots that it names to `mark`. Gives whether versions are to be converted that stand
   * in it as they did before 0.2. Throws StoredValueError when it is not what was written.
   */
  async takeIn(mark: (slot: number) => void): Promise<boolean> {
    let [count, sum, places, older] = [0, 0, 0, 0];
    for await (const { key, value } of this.entries()) {
      if (key.equals(DIGEST_KEY)) continue;
      if (isOlder(key, value)) {
        older++;
        continue;
      }
      count++;
      sum = (sum + hashOf(key, value)) >>> 0;
      if (key[0] !== PAGE_PREFIX) continue;
      places++;
      // One that is damaged is found when it is read, and made anew elsewhere.
      const place = placeOf(key, value);
      if (!(place instanceof StoredValueError)) mark(place.slot);
    }
    if (!this.#hasDigest) {
      if (places > 0) throw new StoredValueError(DIGEST_KEY, 'the index has lost its digest');
      this.#digest = { ...this.#digest, count, sum };
      return older > 0 || count > 0;
    }
    this.#compare(count, sum);
    const { isConverting } = this.#digest;
    if (!isConverting && older > 0) throw new StoredValueError(DIGEST_KEY, `${older} versions of an older format stand among others`);
    return isConverting;
  }

  #compare(count: number, sum: number): void {
    if (count === this.#digest.count && sum === this.#digest.sum) return;
    throw new StoredValueError(DIGEST_KEY, `the index has ${count} entries, which are not the ${this.#digest.count} that were written`);
  }

  /** Where pages are, by their keys, as of the call; what is damaged is its error. Throws StoredValueError. */
  async places(keys: readonly Buffer[]): Promise<(Place | StoredValueError | undefined)[]> {
    const values = await damageOf(keys[0] ?? NO_KEY, () => this.#store.getMany(keys));
    return values.map((sealed, at) => (sealed === undefined ? undefined : placeOf(keys[at] ?? NO_KEY, sealed)));
  }

  /** Another value. Throws StoredValueError. */
  async value(key: Buffer): Promise<Buffer | undefined> {
    const sealed = await damageOf(key, () => this.#store.get(key));
    return sealed === undefined ? undefined : openValue(key, sealed);
  }

  /** As KeyedStore.keys. */
  keys(from: Buffer, to: Buffer): AsyncIterable<Buffer> {
    return this.#store.keys(from, to);
  }

  /** All as it stands, as of the call, in key order. Throws StoredValueError when the keyed store finds damage. */
  async *entries(after?: Buffer): AsyncGenerator<StoreEntry> {
    try {
      yield* this.#store.entries(after);
    } catch (error) {
      throw asStoredValueError(NO_KEY, error);
    }
  }

  /**
   * Changes entries, and the digest with them, in one batch that is durable when it resolves. One at a time. Gives the
   * slots that are named no more.
   */
  async write(operations: readonly BatchOperation[], pageBytes: number, isConverting = false): Promise<number[]> {
    const replaced: number[] = [];
    let { count, sum } = this.#digest;
    const walk = { ...this.#walk };
    const add = (key: Buffer, times: 1 | -1, sealed: Buffer): void => {
      const hash = times * hashOf(key, sealed);
      count += times;
      sum = (sum + hash) >>> 0;
      // The walk has passed it already.
      if (Buffer.compare(key, walk.after) > 0) return;
      walk.count += times;
      walk.sum = (walk.sum + hash) >>> 0;
    };
    for (let from = 0; from < operations.length; from += STRETCH) {
      const stretch = operations.slice(from, from + STRETCH);
      const olds = await damageOf(NO_KEY, () => this.#store.getMany(stretch.map(({ key }) => key)));
      stretch.forEach((operation, at) => {
        const { key } = operation;
        const old = olds[at];
        if (old !== undefined && !isOlder(key, old)) {
          add(key, -1, old);
          const place = key[0] === PAGE_PREFIX ? placeOf(key, old) : undefined;
          if (place !== undefined && !(place instanceof StoredValueError)) replaced.push(place.slot);
        }
        if (operation.type === 'put') add(key, 1, operation.value);
      });
    }
    const digest = { isConverting, pageBytes, count, sum };
    try {
      await this.#store.batch([...operations, { type: 'put', key: DIGEST_KEY, value: sealDigest(DIGEST_KEY, digest) }]);
    } catch (error) {
      this.#isUncertain = true;
      throw error;
    }
    this.#digest = digest;
    this.#walk = walk;
    return replaced;
  }

  /**
   * Reads about `bytes` of it back, from where the last call stopped; gives how many. At the end it must be what the
   * digest says. Not while something is written, and nothing after a write that failed. Throws StoredValueError.
   */
  async scrub(bytes: number): Promise<number> {
    if (this.#isUncertain) return 0;
    const { after } = this.#walk;
    let done = 0;
    for await (const { key, value } of this.entries(after.length === 0 ? undefined : after)) {
      done += key.length + value.length;
      this.#walk.after = key;
      if (!key.equals(DIGEST_KEY)) {
        this.#walk.count++;
        this.#walk.sum = (this.#walk.sum + hashOf(key, value)) >>> 0;
      }
      if (done >= bytes) return done;
    }
    const { count, sum } = this.#walk;
    this.#walk = { after: NO_KEY, count: 0, sum: 0 };
    this.#compare(count, sum);
    return done;
  }

  /** Gives back to the disk what was replaced. */
  compact(): Promise<void> {
    return this.#store.compact();
  }

  approximateBytes(): Promise<number> {
    return this.#store.approximateBytes();
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

/** Is it a page's version as it stood in the index before 0.2? */
export function isOlder(key: Buffer, sealed: Buffer): boolean {
  return key[0] === PAGE_PREFIX && sealed.length > PLACE_VALUE_BYTES_MAX;
}

/** The place in an entry, or why there is none to be had. */
export function placeOf(key: Buffer, sealed: Buffer): Place | StoredValueError {
  try {
    return openPlace(key, sealed);
  } catch (error) {
    if (error instanceof StoredValueError) return error;
    throw error;
  }
}

async function damageOf<T>(key: Buffer, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asStoredValueError(key, error);
  }
}

function asStoredValueError(key: Buffer, error: unknown): unknown {
  return error instanceof StoreDamageError ? new StoredValueError(key, error.message) : error;
}
