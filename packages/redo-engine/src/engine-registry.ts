import { formatEngine, type EngineId, type RedoEngine } from './engine.ts';

/** The engine of a volume is not among those that this program has. */
export class EngineUnknownError extends Error {
  readonly id: EngineId;
  constructor(id: EngineId, known: readonly EngineId[]) {
    super(`the volume is of ${formatEngine(id)}; this storage daemon has ${known.map(formatEngine).join(', ')}`);
    this.name = 'EngineUnknownError';
    this.id = id;
  }
}

/** The engines that a daemon has: each volume's is chosen by its name and major version. */
export class EngineRegistry {
  readonly #engines: readonly RedoEngine[];

  /** Throws RangeError when two are of the same engine and major version. */
  constructor(engines: readonly RedoEngine[]) {
    const names = engines.map(({ id }) => formatEngine(id));
    const twice = names.find((name, at) => names.indexOf(name) !== at);
    if (twice !== undefined) throw new RangeError(`there are two engines ${twice}`);
    this.#engines = engines;
  }

  get ids(): EngineId[] {
    return this.#engines.map(({ id }) => id);
  }

  /** Throws EngineUnknownError. */
  get({ engine, major }: EngineId): RedoEngine {
    const found = this.#engines.find(({ id }) => id.engine === engine && id.major === major);
    if (found === undefined) throw new EngineUnknownError({ engine, major }, this.ids);
    return found;
  }
}
