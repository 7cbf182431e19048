/**
 * The newest batches of a log, in memory, so that redo that was just written is not read back from disk. Oldest out
 * first, bounded in bytes. Positions are the log's own numbering of bytes (LogFile.base + offset) and ascend.
 */
export class TailCache {
  readonly #limitBytes: number;
  #positions: number[] = [];
  #buffers: Buffer[] = [];
  #first = 0;
  #bytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(position: number, batch: Buffer): void {
    this.#positions.push(position);
    this.#buffers.push(batch);
    this.#bytes += batch.length;
    while (this.#bytes > this.#limitBytes && this.#first < this.#buffers.length) {
      this.#bytes -= this.#buffers[this.#first]?.length ?? 0;
      this.#buffers[this.#first] = Buffer.alloc(0);
      this.#first++;
    }
    if (this.#first > 1024 && this.#first * 2 > this.#buffers.length) {
      this.#positions = this.#positions.slice(this.#first);
      this.#buffers = this.#buffers.slice(this.#first);
      this.#first = 0;
    }
  }

  /** `bytes` bytes at `position`, a view; undefined when they are not held. */
  get(position: number, bytes: number): Buffer | undefined {
    let low = this.#first;
    let high = this.#positions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#positions[middle] ?? 0) <= position) low = middle + 1;
      else high = middle;
    }
    if (low === this.#first) return undefined;
    const start = this.#positions[low - 1] ?? 0;
    const batch = this.#buffers[low - 1];
    if (batch === undefined || position + bytes > start + batch.length) return undefined;
    return batch.subarray(position - start, position - start + bytes);
  }

  /** Forgets everything at or past `position`. */
  truncate(position: number): void {
    while (this.#positions.length > this.#first && (this.#positions.at(-1) ?? -1) >= position) {
      this.#positions.pop();
      this.#bytes -= this.#buffers.pop()?.length ?? 0;
    }
  }
}
