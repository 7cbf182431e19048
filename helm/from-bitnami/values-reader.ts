/** Values of a chart, which remember what was read of them: the rest has no counterpart, and is told. */
export class ValuesReader {
  readonly #values: unknown;
  readonly #read = new Set<string>();

  constructor(values: unknown) {
    this.#values = values;
  }

  /** What stands at a path (`primary.persistence.size`); undefined for nothing, and for the chart's ways of saying so: null, '', {} and []. */
  get(path: string): unknown {
    this.#read.add(path);
    const found = path.split('.').reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), this.#values);
    return isEmpty(found) ? undefined : found;
  }

  text(path: string): string | undefined {
    const value = this.get(path);
    return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
  }

  /** Paths of values that say something and were not asked for. */
  unread(): readonly string[] {
    return this.#leaves(this.#values, '').filter((path) => ![...this.#read].some((read) => path === read || path.startsWith(`${read}.`)));
  }

  #leaves(value: unknown, path: string): readonly string[] {
    if (isEmpty(value)) return [];
    if (!isObject(value)) return [path];
    return Object.entries(value).flatMap(([key, inner]) => this.#leaves(inner, path === '' ? key : `${path}.${key}`));
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  return Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;
}
