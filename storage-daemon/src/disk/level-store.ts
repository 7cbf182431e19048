import { ClassicLevel } from 'classic-level';
import { StoreDamageError, type BatchOperation, type KeyedStore, type KeyedStoreOptions, type StoreEntry } from './keyed-store.ts';
import { liveTables } from './live-tables.ts';
import { checkTableFile, TableDamageError, tableNames } from './table-check.ts';

/**
 * Tables that are checked before the store opens; the scrubber gets round to the rest. A disk reads this in seconds.
 */
const CHECKED_AT_OPEN_BYTES = 2 * 1024 * 1024 * 1024;
const ANY_KEY = Buffer.from('m');

/**
 * A KeyedStore in LevelDB. Its table files are checked whole, by reading them: LevelDB itself loses entries of a
 * damaged one silently.
 */
export class LevelStore implements KeyedStore {
  readonly #db: ClassicLevel<Buffer, Buffer>;
  readonly #directory: string;
  /** The last table that was checked. */
  #checked = '';
  /** A table that failed its check once: LevelDB may have been writing it. */
  #suspect = '';

  private constructor(db: ClassicLevel<Buffer, Buffer>, directory: string) {
    this.#db = db;
    this.#directory = directory;
  }

  /** Opens or makes the store. Throws TableDamageError when a table is damaged. */
  static async open(directory: string, options: KeyedStoreOptions): Promise<LevelStore> {
    let checked = 0;
    const live = new Set(liveTables(directory));
    // A table that the store does not have was being written when the process ended: it is removed as the store opens.
    const names = tableNames(directory).filter((name) => live.has(Number.parseInt(name, 10)));
    for (const name of names.toReversed()) {
      checked += (await checkTableFile(directory, name)) ?? 0;
      if (checked > CHECKED_AT_OPEN_BYTES) break;
    }
    const db = new ClassicLevel<Buffer, Buffer>(directory, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      cacheSize: options.cacheBytes,
      writeBufferSize: options.writeBufferBytes,
    });
    await db.open();
    return new LevelStore(db, directory);
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return damageAware(() => this.#db.get(key));
  }

  getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    return damageAware(() => this.#db.getMany([...keys]));
  }

  async batch(operations: readonly BatchOperation[], options: { readonly sync?: boolean } = {}): Promise<void> {
    await this.#db.batch([...operations], { sync: options.sync ?? false });
  }

  /** LevelDB flushes its write buffer before it compacts a range, however small. */
  async makeDurable(): Promise<void> {
    await this.#db.compactRange(ANY_KEY, ANY_KEY);
  }

  keys(from: Buffer, to: Buffer): AsyncIterable<Buffer> {
    return this.#db.keys({ gte: from, lt: to });
  }

  async *entries(after?: Buffer): AsyncGenerator<StoreEntry> {
    const iterator = this.#db.iterator(after === undefined ? {} : { gt: after });
    try {
      for await (const [key, value] of iterator) yield { key, value };
    } catch (error) {
      throw asDamage(error);
    }
  }

  approximateBytes(): Promise<number> {
    return this.#db.approximateSize(Buffer.from([0]), Buffer.from([0xff]));
  }

  /** At least one table. Damage is believed when a table fails twice. */
  async checkFiles(bytes: number): Promise<number> {
    let done = 0;
    const names = tableNames(this.#directory);
    const later = names.filter((name) => name > this.#checked);
    for (const name of later.length === 0 ? names : later) {
      try {
        done += (await checkTableFile(this.#directory, name)) ?? 0;
        if (this.#suspect === name) this.#suspect = '';
      } catch (error) {
        if (!(error instanceof TableDamageError)) throw error;
        // It is being written, which may take long on a busy machine.
        if (!this.#isLive(name)) {
          this.#checked = name;
          continue;
        }
        if (this.#suspect === name) throw new StoreDamageError(`LevelDB: ${error.message}`);
        this.#suspect = name;
        return done;
      }
      this.#checked = name;
      if (done >= bytes) break;
    }
    return done;
  }

  /** Is a table part of the store? True when that cannot be told: the manifest is being written too. */
  #isLive(name: string): boolean {
    try {
      return liveTables(this.#directory).includes(Number.parseInt(name, 10));
    } catch (error) {
      if (error instanceof TableDamageError) return true;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#db.close();
  }
}

async function damageAware<T>(work: () => Promise<T>): Promise<T> {
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
