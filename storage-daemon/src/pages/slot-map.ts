/**
 * Which slots of a page file are taken, one bit each. Slots are given out from the lowest free one on, so that the file
 * stays as short as what it holds, and pages that are written together are neighbours.
 */
const BITS = 32;

export class SlotMap {
  #words = new Uint32Array(1024);
  /** No slot below it is free. */
  #lowest = 0;
  #end = 0;
  #taken = 0;

  /** One past the highest slot that is taken: so long the file is. */
  get end(): number {
    return this.#end;
  }

  get taken(): number {
    return this.#taken;
  }

  isTaken(slot: number): boolean {
    return ((this.#words[Math.floor(slot / BITS)] ?? 0) & (1 << (slot % BITS))) !== 0;
  }

  /** Gives out the lowest slot that is free. */
  take(): number {
    let word = Math.floor(this.#lowest / BITS);
    while (word < this.#words.length && this.#words[word] === 0xffff_ffff) word++;
    let slot = Math.max(this.#lowest, word * BITS);
    while (this.isTaken(slot)) slot++;
    this.mark(slot);
    this.#lowest = slot + 1;
    return slot;
  }

  /** The slot is taken: for what is found when a file is opened. */
  mark(slot: number): void {
    const word = Math.floor(slot / BITS);
    if (word >= this.#words.length) {
      const words = new Uint32Array(Math.max(word + 1, 2 * this.#words.length));
      words.set(this.#words);
      this.#words = words;
    }
    if (this.isTaken(slot)) return;
    this.#words[word] = (this.#words[word] ?? 0) | (1 << (slot % BITS));
    this.#taken++;
    if (slot >= this.#end) this.#end = slot + 1;
  }

  /** Frees a slot; false: it is free already. */
  give(slot: number): boolean {
    if (!this.isTaken(slot)) return false;
    const word = Math.floor(slot / BITS);
    this.#words[word] = (this.#words[word] ?? 0) & ~(1 << (slot % BITS));
    this.#taken--;
    if (slot < this.#lowest) this.#lowest = slot;
    while (this.#end > 0 && !this.isTaken(this.#end - 1)) this.#end--;
    return true;
  }
}
