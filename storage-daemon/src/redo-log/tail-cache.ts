/**
 * The newest batches of a log, in memory, so that redo that was just written is not read back from disk. One ring of
 * bytes: batches are copied in and out, so that the buffers they came in die young. Positions are the log's own
 * numbering of bytes (LogFile.base + offset) and ascend.
 */
export class TailCache {
  readonly #ring: Buffer;
  /** Oldest first: position in the log, start in the ring, length. */
  #positions: number[] = [];
  #starts: number[] = [];
  #lengths: number[] = [];
  /** Where each batch's redo begins, which is where the one before it ends, and where it ends. */
  #backlinks: bigint[] = [];
  #ends: bigint[] = [];
  #first = 0;
  #write = 0;
  #bytes = 0;

  constructor(limitBytes: number) {
    this.#ring = Buffer.allocUnsafeSlow(limitBytes);
  }

  /** Bytes of batches that are held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A batch that is larger than the ring is not kept. */
  push(position: number, batch: Buffer, redo: { readonly backlink: bigint; readonly endLsn: bigint }): void {
    const { length } = batch;
    if (length > this.#ring.length) return;
    if (this.#write + length > this.#ring.length) {
      // The ring's end is left unused: what stands there is the oldest.
      while (this.#first < this.#starts.length && (this.#starts[this.#first] ?? 0) >= this.#write) this.#evict();
      this.#write = 0;
    }
    while (this.#first < this.#starts.length && this.#overlaps(this.#first, this.#write, length)) this.#evict();
    batch.copy(this.#ring, this.#write);
    this.#positions.push(position);
    this.#starts.push(this.#write);
    this.#lengths.push(length);
    this.#backlinks.push(redo.backlink);
    this.#ends.push(redo.endLsn);
    this.#write += length;
    this.#bytes += length;
    if (this.#first > 1024 && this.#first * 2 > this.#starts.length) {
      this.#positions = this.#positions.slice(this.#first);
      this.#starts = this.#starts.slice(this.#first);
      this.#lengths = this.#lengths.slice(this.#first);
      this.#backlinks = this.#backlinks.slice(this.#first);
      this.#ends = this.#ends.slice(this.#first);
      this.#first = 0;
    }
  }

  #overlaps(index: number, start: number, length: number): boolean {
    const other = this.#starts[index] ?? 0;
    return other < start + length && other + (this.#lengths[index] ?? 0) > start;
  }

  #evict(): void {
    this.#bytes -= this.#lengths[this.#first] ?? 0;
    this.#first++;
  }

  /**
   * What is held from `position` on, as one stretch of `bytes` bytes or more, `reach` at most; undefined when those are not held. A view, which
   * the next push may overwrite.
   */
  view(position: number, bytes: number, reach: number): Buffer | undefined {
    const index = this.#after(this.#positions, position) - 1;
    if (index < this.#first) return undefined;
    const start = this.#starts[index] ?? 0;
    const from = start + position - (this.#positions[index] ?? 0);
    let end = start + (this.#lengths[index] ?? 0);
    if (from + bytes > end) return undefined;
    // As far as batches stand in the ring as they do in the log.
    const shift = start - (this.#positions[index] ?? 0);
    for (let next = index + 1; next < this.#positions.length && end - from < reach; next++) {
      if (this.#starts[next] !== end || this.#positions[next] !== end - shift) break;
      end += this.#lengths[next] ?? 0;
    }
    return this.#ring.subarray(from, Math.max(from + bytes, Math.min(end, from + reach)));
  }

  /**
   * A copy of the batches from the one whose backlink is `lsn` on that end at or below `toLsn`, about `maxBytes` of
   * them, and at least the first, and where the last of them ends. Undefined when the first is not held.
   */
  batchesFrom(lsn: bigint, toLsn: bigint, maxBytes: number): { readonly batches: Buffer; readonly endLsn: bigint } | undefined {
    const index = this.#after(this.#backlinks, lsn) - 1;
    if (index < this.#first || this.#backlinks[index] !== lsn) return undefined;
    const pieces: Buffer[] = [];
    let bytes = 0;
    let endLsn = lsn;
    for (let at = index; at < this.#ends.length && this.#backlinks[at] === endLsn && (this.#ends[at] ?? 0n) <= toLsn; at++) {
      const start = this.#starts[at] ?? 0;
      const length = this.#lengths[at] ?? 0;
      if (bytes > 0 && bytes + length > maxBytes) break;
      pieces.push(this.#ring.subarray(start, start + length));
      bytes += length;
      endLsn = this.#ends[at] ?? 0n;
    }
    return { batches: Buffer.concat(pieces, bytes), endLsn };
  }

  /** The first place whose value is past `value`, of what is held. */
  #after<T extends number | bigint>(values: readonly T[], value: T): number {
    let low = this.#first;
    let high = values.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((values[middle] ?? 0) <= value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Forgets everything at or past `position`. */
  forgetFrom(position: number): void {
    while (this.#positions.length > this.#first && (this.#positions.at(-1) ?? -1) >= position) {
      this.#positions.pop();
      this.#write = this.#starts.pop() ?? 0;
      this.#backlinks.pop();
      this.#ends.pop();
      this.#bytes -= this.#lengths.pop() ?? 0;
    }
  }
}
