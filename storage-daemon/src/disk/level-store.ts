import { ClassicLevel } from 'classic-level';
import { StoreDamageError, type BatchOperation, type KeyedStore, type KeyedStoreOptions, type StoreEntry } from './keyed-store.ts';
import { ReadPace } from './read-pace.ts';

/**
 * So many keys are looked up on the caller's thread, where the disk is quick: a hop to another costs as much as all of
 * them.
 */
const GET_HERE_MAX = 16;
/** What a walk over entries asks for at once: one by one each costs several times more. */
const READ_AHEAD_ENTRIES = 512;
const READ_AHEAD_BYTES = 64 * 1024;
const LOWEST_KEY = Buffer.from([0]);
const HIGHEST_KEY = Buffer.from([0xff]);

/**
 * A KeyedStore in LevelDB. It does not check its files as it reads them: damage in them may show as an entry that is
 * gone, or as an older one. Whoever stores something has to tell.
 */
export class LevelStore implements KeyedStore {
  readonly #db: ClassicLevel<Buffer, Buffer>;
  readonly #readPace: ReadPace;

  private constructor(db: ClassicLevel<Buffer, Buffer>, waitedForCore: () => number) {
    this.#db = db;
    this.#readPace = new ReadPace({ now: () => performance.now(), waitedForCore });
  }

  /** Opens or makes the store. `waitedForCore`: of the thread that reads, see ReadTimes. */
  static async open(directory: string, options: KeyedStoreOptions, waitedForCore: () => number): Promise<LevelStore> {
    const db = new ClassicLevel<Buffer, Buffer>(directory, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      cacheSize: options.cacheBytes,
      writeBufferSize: options.writeBufferBytes,
    });
    await db.open();
    return new LevelStore(db, waitedForCore);
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return damageAware(() => this.#db.get(key));
  }

  getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    return damageAware(() => (keys.length <= GET_HERE_MAX && this.#readPace.isQuick() ? this.#getHere(keys) : this.#db.getMany([...keys])));
  }

  #getHere(keys: readonly Buffer[]): (Buffer | undefined)[] {
    return this.#readPace.timed(() => keys.map((key) => this.#db.getSync(key)), keys.length);
  }

  async batch(operations: readonly BatchOperation[]): Promise<void> {
    await this.#db.batch([...operations], { sync: true });
  }

  keys(from: Buffer, to: Buffer): AsyncIterable<Buffer> {
    return this.#db.keys({ gte: from, lt: to });
  }

  async *entries(after?: Buffer): AsyncGenerator<StoreEntry> {
    const iterator = this.#db.iterator({ highWaterMarkBytes: READ_AHEAD_BYTES, ...(after === undefined ? {} : { gt: after }) });
    try {
      for (;;) {
        const found = await iterator.nextv(READ_AHEAD_ENTRIES);
        if (found.length === 0) return;
        for (const [key, value] of found) yield { key, value };
      }
    } catch (error) {
      throw asDamage(error);
    } finally {
      await iterator.close();
    }
  }

  approximateBytes(): Promise<number> {
    return this.#db.approximateSize(LOWEST_KEY, HIGHEST_KEY);
  }

  async compact(): Promise<void> {
    await this.#db.compactRange(LOWEST_KEY, HIGHEST_KEY);
  }

  async close(): Promise<void> {
    await this.#db.close();
  }
}

async function damageAware<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asDamage(error);
  }
}

/** LevelDB's word for damage of its own blocks is in the message alone. */
function asDamage(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code } = error as Error & { code?: unknown };
  return code === 'LEVEL_CORRUPTION' || /corrupt|checksum/i.test(error.message) ? new StoreDamageError(`LevelDB: ${error.message}`) : error;
}
